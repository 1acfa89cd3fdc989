/** The CLI's end of the daemon's socket. */
import { connect, type Socket } from 'node:net';
import { homePath } from '../config/home.ts';
import { type ControlResponse, readLines, socketPath, writeLine } from '../control.ts';
import { type ErrorCode, KimiError } from '../errors.ts';

export interface Client {
  /** Asks for an operation. `onEvent` gets what comes before the result. Rejects with the daemon's own error. */
  call<T>(method: string, params?: Record<string, unknown>, onEvent?: (event: unknown) => void): Promise<T>;
  /** Resolves when the daemon ended the connection. */
  closed: Promise<void>;
  close(): void;
}

/** Connects to the daemon of this home; undefined when none runs. */
export async function connectDaemon(home = homePath()): Promise<Client | undefined> {
  const socket = await open(socketPath(home));
  return socket && createClient(socket);
}

/** Connects, or throws KimiError `not_running` with how to start one. */
export async function requireDaemon(): Promise<Client> {
  const client = await connectDaemon();
  if (client) return client;
  throw new KimiError('Kimi is not running. Start it: `kimi start` (or `npm start` in its folder).', {
    code: 'not_running',
  });
}

/** Asks the daemon once and leaves; undefined when none runs. */
export async function ask<T>(method: string, params?: Record<string, unknown>): Promise<T | undefined> {
  const client = await connectDaemon();
  if (!client) return undefined;
  try {
    return await client.call<T>(method, params);
  } finally {
    client.close();
  }
}

function open(path: string): Promise<Socket | undefined> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => resolve(socket));
    socket.once('error', () => resolve(undefined));
  });
}

interface Waiting {
  resolve(result: unknown): void;
  reject(error: Error): void;
  onEvent: ((event: unknown) => void) | undefined;
}

function createClient(socket: Socket): Client {
  const waiting = new Map<number, Waiting>();
  let lastId = 0;

  readLines(socket, (line) => {
    const response = line as ControlResponse;
    const call = waiting.get(response.id);
    if (!call) return;
    if ('event' in response) return call.onEvent?.(response.event);
    waiting.delete(response.id);
    if ('error' in response) {
      call.reject(new KimiError(response.error.message, { code: response.error.code as ErrorCode }));
    } else {
      call.resolve(response.result);
    }
  });
  const closed = new Promise<void>((resolve) => {
    socket.on('error', () => socket.destroy());
    socket.once('close', () => {
      for (const call of waiting.values()) {
        call.reject(
          new KimiError('Kimi stopped while it worked on this. `kimi status` tells how it is.', {
            code: 'not_running',
          }),
        );
      }
      waiting.clear();
      resolve();
    });
  });

  return {
    call<T>(method: string, params?: Record<string, unknown>, onEvent?: (event: unknown) => void) {
      const id = ++lastId;
      return new Promise<T>((resolve, reject) => {
        waiting.set(id, { resolve: (result) => resolve(result as T), reject, onEvent });
        writeLine(socket, { id, method, params });
      });
    },
    closed,
    close: () => void socket.end(),
  };
}
