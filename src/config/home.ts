/** KIMI_HOME: where everything lives that one Kimi has. Imports nothing heavy: every command starts here. */
import { accessSync, constants, mkdirSync, statSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { KimiError } from '../errors.ts';
import { initialConfig } from './initial.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** The name of the configuration file in KIMI_HOME. */
export const CONFIG_FILE = 'config.yaml';

/** Absolute path of KIMI_HOME (default `~/.kimi`), whether or not it exists. */
export function homePath(env: Environment = process.env): string {
  const wanted = env.KIMI_HOME?.trim();
  if (!wanted) return join(homedir(), '.kimi');
  return resolve(expandTilde(wanted));
}

/**
 * The absolute path that a path in the configuration means: `~/.kimi` stands for KIMI_HOME wherever that is, `~` for
 * the user's own folder, and a relative path starts in KIMI_HOME.
 */
export function expandHome(path: string, home: string): string {
  const inHome = /^~\/\.kimi(?:\/+(.*))?$/s.exec(path);
  if (inHome) return join(home, inHome[1] ?? '');
  return resolve(home, expandTilde(path));
}

function expandTilde(path: string): string {
  return path === '~' || path.startsWith('~/') ? join(homedir(), path.slice(1)) : path;
}

/**
 * Makes KIMI_HOME (mode 0700) and its config.yaml (mode 0600) where they are missing, and returns the folder's
 * absolute path. Throws KimiError `home_unusable`.
 */
export function prepareHome(env: Environment = process.env): string {
  const home = homePath(env);
  try {
    mkdirSync(home, { recursive: true, mode: 0o700 });
    const { uid } = statSync(home);
    const self = process.getuid?.();
    if (self !== undefined && uid !== self) {
      throw unusable(home, `belongs to user ${uid}, and this is user ${self}`, 'Run as its owner');
    }
    accessSync(home, constants.R_OK | constants.W_OK | constants.X_OK);
    writeNew(join(home, CONFIG_FILE), initialConfig());
  } catch (error) {
    throw error instanceof KimiError ? error : explain(home, error);
  }
  return home;
}

function writeNew(path: string, text: string): void {
  try {
    writeFileSync(path, text, { mode: 0o600, flag: 'wx' });
  } catch (error) {
    if (errno(error) !== 'EEXIST') throw error;
  }
}

function explain(home: string, error: unknown): KimiError {
  switch (errno(error)) {
    case 'EEXIST':
    case 'ENOTDIR':
      return unusable(home, 'is not a folder', 'Move the file away', error);
    case 'EACCES':
    case 'EPERM':
      return unusable(home, 'cannot be written by this user', 'Change its owner or mode', error);
    case 'EROFS':
      return unusable(home, 'is on a read-only disk', 'Mount it writable', error);
    case 'ENOSPC':
    case 'EDQUOT':
      return unusable(home, 'is on a disk that is full', 'Free some space', error);
    default:
      return unusable(home, `cannot be used (${errno(error) ?? String(error)})`, 'Check the folder', error);
  }
}

function unusable(home: string, what: string, remedy: string, cause?: unknown): KimiError {
  return new KimiError(`${home} ${what}. ${remedy}, or set KIMI_HOME to a folder of your own.`, {
    code: 'home_unusable',
    cause,
  });
}

function errno(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException | undefined)?.code;
}
