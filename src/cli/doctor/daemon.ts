/** Whether a daemon listens at the socket of this home. */
import { createConnection } from 'node:net';
import { socketPath } from '../../control.ts';
import type { Check } from './check.ts';

const TIMEOUT_MS = 3_000;

export const checkDaemon: Check = async ({ home }) => {
  const path = socketPath(home);
  const failure = await connect(path);
  if (failure === undefined) return { status: 'ok', text: 'running' };
  if (failure === 'ENOENT' || failure === 'ECONNREFUSED') {
    return { status: 'warn', text: 'not running', todo: 'Run: kimi start' };
  }
  const todo = 'Stop it, by kill if need be, and run: kimi start';
  return { status: 'fail', text: `${path} does not take connections (${failure})`, todo };
};

/** Resolves with the code of what kept us from connecting. */
function connect(path: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = createConnection(path);
    const end = (failure?: string): void => {
      socket.destroy();
      resolve(failure);
    };
    socket.setTimeout(TIMEOUT_MS, () => end('ETIMEDOUT'));
    socket.once('connect', () => end());
    socket.once('error', (error: NodeJS.ErrnoException) => end(error.code ?? error.message));
  });
}
