/** The daemon's socket: where it is and what is said on it. One JSON object a line, both ways. */
import { createHash } from 'node:crypto';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** `sun_path` holds 104 bytes on macOS and 108 on Linux, its closing zero included. */
const LONGEST_SOCKET_PATH = 103;

/** The socket of the daemon whose home is `home`; in the temporary folder where the home's path is too long for one. */
export function socketPath(home: string): string {
  const path = join(home, 'kimi.sock');
  if (Buffer.byteLength(path) <= LONGEST_SOCKET_PATH) return path;
  return join(tmpdir(), `kimi-${createHash('sha256').update(home).digest('hex').slice(0, 16)}.sock`);
}

/** A request of the CLI. */
export interface ControlRequest {
  id: number;
  method: string;
  params?: unknown;
}

/** What the daemon answers: any number of events, then a result or an error. */
export type ControlResponse =
  | { id: number; event: unknown }
  | { id: number; result: unknown }
  | { id: number; error: { code: string; message: string } };

/** What a terminal is shown. */
export type TerminalFrame =
  | { type: 'received'; messageId: string }
  /**
   * The whole text so far, each time. `answers`: the last message that it answers. Counts as delivered once the
   * client has called `chat.shown` with its `seq`. `options`: it is a question, answered by saying one of them.
   */
  | {
      type: 'reply';
      seq: number;
      id: string;
      text: string;
      final: boolean;
      answers?: string;
      options?: string[];
    }
  | { type: 'removed'; id: string }
  | { type: 'typing' };

/** A line longer than this is no request of ours. */
const LONGEST_LINE = 4 * 1024 * 1024;

/** Calls `onLine` with each JSON value that comes in. A line that is none, or endless, ends the connection. */
export function readLines(socket: Socket, onLine: (value: unknown) => void): void {
  let rest = '';
  socket.setEncoding('utf8');
  socket.on('data', (chunk: string) => {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    if (rest.length > LONGEST_LINE) return void socket.destroy();
    for (const line of lines) {
      if (line.trim() === '') continue;
      let value: unknown;
      try {
        value = JSON.parse(line);
      } catch {
        return void socket.destroy();
      }
      onLine(value);
    }
  });
}

/** Writes one JSON value as a line. A closed connection takes nothing and says nothing. */
export function writeLine(socket: Socket, value: unknown): void {
  if (socket.writable) socket.write(`${JSON.stringify(value)}\n`);
}
