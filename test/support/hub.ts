/** A model hub on loopback: states hash and size, redirects to a store, serves ranges, and misbehaves on demand. */
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface StandInHub {
  base: string;
  /** First bytes asked for by each request for content, in order. */
  readonly starts: number[];
  /** How often the hub was asked at all. */
  readonly asked: number;
  close(): Promise<void>;
}

export interface HubBehaviour {
  /** Serves these bytes instead of those that the hub states. */
  serve?: Uint8Array;
  /** Closes each connection after so many bytes of content, for so many requests. */
  cut?: { afterBytes: number; requests: number };
  /** Accepts and never answers. */
  silent?: boolean;
  /** Of the content from this byte on nothing comes, the connection open. */
  stallFrom?: number;
  /** States no hash. */
  mute?: boolean;
}

/** Serves `content` at `/OWNER/REPOSITORY/resolve/main/FILE`. */
export async function startHub(
  path: string,
  content: Uint8Array,
  behaviour: HubBehaviour = {},
): Promise<StandInHub> {
  const starts: number[] = [];
  let asked = 0;
  let cuts = behaviour.cut?.requests ?? 0;
  const bytes = behaviour.serve ?? content;

  const server = createServer((request, response) => {
    asked++;
    if (behaviour.silent) return;
    if (request.url?.startsWith('/store/')) serveContent(request, response);
    else if (request.url === path) {
      response.writeHead(302, {
        location: '/store/blob',
        ...(behaviour.mute
          ? {}
          : {
              'x-linked-size': String(content.length),
              'x-linked-etag': `"${createHash('sha256').update(content).digest('hex')}"`,
            }),
      });
      response.end();
    } else response.writeHead(404).end();
  });

  function serveContent(request: IncomingMessage, response: ServerResponse): void {
    const [, from, to] = /bytes=(\d+)-(\d*)/.exec(request.headers.range ?? '') ?? [];
    const start = Number(from ?? 0);
    const end = Math.min(to ? Number(to) + 1 : bytes.length, bytes.length);
    if (from !== undefined) starts.push(start);
    response.writeHead(from === undefined ? 200 : 206, {
      'accept-ranges': 'bytes',
      'content-length': end - start,
      ...(from !== undefined && { 'content-range': `bytes ${start}-${end - 1}/${bytes.length}` }),
    });
    if (request.method === 'HEAD') response.end();
    else if (from !== undefined && behaviour.cut && cuts > 0 && end - start > behaviour.cut.afterBytes) {
      cuts--;
      const part = bytes.subarray(start, start + behaviour.cut.afterBytes);
      response.write(part, () => setImmediate(() => request.socket.destroy()));
    } else if (behaviour.stallFrom !== undefined && end > behaviour.stallFrom) {
      response.flushHeaders();
      response.write(bytes.subarray(start, Math.max(start, behaviour.stallFrom)));
    } else response.end(bytes.subarray(start, end));
  }

  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    base: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    starts,
    get asked() {
      return asked;
    },
    close: () => closeServer(server),
  };
}

export function closeServer(server: ReturnType<typeof createServer>): Promise<void> {
  server.closeAllConnections();
  return new Promise((resolve) => server.close(() => resolve()));
}
