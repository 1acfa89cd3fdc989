/** The socket server: one request a line, answered by an operation. */
import { chmodSync, rmSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { type ControlRequest, type ControlResponse, readLines, socketPath, writeLine } from '../control.ts';
import { asKimiError, KimiError } from '../errors.ts';
import type { Log } from '../log.ts';

/** What a request is answered by. `emit` sends an event before the result; `signal` aborts when the client leaves. */
export type Operation = (
  params: Record<string, unknown>,
  emit: (event: unknown) => void,
  signal: AbortSignal,
) => unknown;

/** By the method's name. */
export type Operations = Readonly<Record<string, Operation>>;

export interface Control {
  close(): Promise<void>;
}

/**
 * Listens on the home's socket (mode 0600).
 *
 * @throws KimiError `already_running` when a daemon answers there.
 */
export async function startControl(home: string, operations: Operations, log: Log): Promise<Control> {
  const path = socketPath(home);
  if (await answers(path)) {
    throw new KimiError(
      `Kimi is running already with this home (${home}). \`kimi status\` tells more, \`kimi stop\` ends it.`,
      {
        code: 'already_running',
      },
    );
  }
  rmSync(path, { force: true });
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    serve(socket, operations, log);
  });
  const umask = process.umask(0o177);
  try {
    await listen(server, path);
  } finally {
    process.umask(umask);
  }
  chmodSync(path, 0o600);
  return {
    close() {
      for (const socket of sockets) socket.end();
      return new Promise((resolve) => {
        server.close(() => resolve());
        setTimeout(() => {
          for (const socket of sockets) socket.destroy();
        }, 500).unref();
      });
    },
  };
}

function serve(socket: Socket, operations: Operations, log: Log): void {
  const left = new AbortController();
  socket.on('close', () => left.abort());
  socket.on('error', (error) => log.debug({ err: error }, 'a client of the socket left'));
  readLines(socket, (line) => {
    const request = toRequest(line);
    if (!request) return void socket.destroy();
    const respond = (response: ControlResponse) => writeLine(socket, response);
    void answer(request, operations, respond, left.signal);
  });
}

async function answer(
  { id, method, params }: ControlRequest,
  operations: Operations,
  respond: (response: ControlResponse) => void,
  signal: AbortSignal,
): Promise<void> {
  try {
    const operation = Object.hasOwn(operations, method) ? operations[method] : undefined;
    if (!operation) {
      throw new KimiError(
        `The running Kimi does not know "${method}". Restart it, so that it is as new as this command.`,
        {
          code: 'not_found',
        },
      );
    }
    const given = typeof params === 'object' && params !== null ? (params as Record<string, unknown>) : {};
    respond({ id, result: (await operation(given, (event) => respond({ id, event }), signal)) ?? null });
  } catch (thrown) {
    const { code, message } = asKimiError(thrown);
    respond({ id, error: { code, message } });
  }
}

function toRequest(line: unknown): ControlRequest | undefined {
  if (typeof line !== 'object' || line === null) return undefined;
  const { id, method, params } = line as Partial<ControlRequest>;
  return typeof id === 'number' && typeof method === 'string' ? { id, method, params } : undefined;
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, resolve);
  });
}
