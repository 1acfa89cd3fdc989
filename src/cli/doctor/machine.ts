/** Node, the home folder and the disk it is on. */
import { accessSync, constants, existsSync, statfsSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Check } from './check.ts';

/** The oldest that package.json's `engines` allows. */
const OLDEST_NODE: readonly [number, number] = [20, 19];

export const checkNode: Check = () => {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  const [oldestMajor, oldestMinor] = OLDEST_NODE;
  const text = `Node ${process.versions.node}`;
  if (major > oldestMajor || (major === oldestMajor && minor >= oldestMinor)) return { status: 'ok', text };
  return {
    status: 'fail',
    text,
    todo: `Install Node ${OLDEST_NODE.join('.')} or later, then run npm ci again`,
  };
};

/** What the address of a Unix socket may be long, in bytes: sun_path of Linux and of macOS, less its final zero. */
const MAX_SOCKET_PATH = process.platform === 'darwin' ? 103 : 107;

export const checkHome: Check = ({ home }) => {
  if (Buffer.byteLength(join(home, 'kimi.sock')) > MAX_SOCKET_PATH) {
    const text = `the path ${home} is too long for a socket within`;
    return { status: 'fail', text, todo: 'Set KIMI_HOME to a shorter one' };
  }
  if (!existsSync(home))
    return { status: 'warn', text: `${home} does not exist yet`, todo: 'Run: kimi start' };
  const { mode, uid } = statSync(home);
  if (!statSync(home).isDirectory()) {
    return { status: 'fail', text: `${home} is not a folder`, todo: 'Move it away, or set KIMI_HOME' };
  }
  const self = process.getuid?.();
  if (self !== undefined && uid !== self) {
    const text = `${home} belongs to user ${uid}, and this is user ${self}`;
    return { status: 'fail', text, todo: `Run as its owner, or: sudo chown -R ${self} '${home}'` };
  }
  try {
    accessSync(home, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch {
    return { status: 'fail', text: `${home} cannot be written`, todo: `Run: chmod 700 '${home}'` };
  }
  const todo = `Run: chmod 700 '${home}'`;
  if ((mode & 0o022) !== 0) return { status: 'fail', text: `others can write to ${home}`, todo };
  if ((mode & 0o055) !== 0) return { status: 'warn', text: `others can look into ${home}`, todo };
  return { status: 'ok', text: home };
};

const GIB = 1024 ** 3;

/** Below the first, SQLite soon cannot write; below the second, the starter model does not fit comfortably. */
const [LEAST_FREE, COMFORTABLE_FREE] = [0.1 * GIB, 1 * GIB];

export const checkDisk: Check = ({ home }) => {
  let folder = home;
  while (!existsSync(folder)) folder = dirname(folder);
  const { bavail, bsize } = statfsSync(folder);
  const free = bavail * bsize;
  const text = `${(free / GIB).toFixed(1)} GiB free at ${folder}`;
  if (free < LEAST_FREE) return { status: 'fail', text, todo: 'Free some space: nothing can be saved soon' };
  if (free < COMFORTABLE_FREE)
    return { status: 'warn', text, todo: 'Free some space before fetching models' };
  return { status: 'ok', text };
};
