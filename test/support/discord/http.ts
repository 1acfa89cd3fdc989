/** How the REST API is spoken over HTTP: bodies in, answers and errors out. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { buffer } from 'node:stream/consumers';

export type Json = Record<string, unknown>;

export interface Upload {
  name: string;
  type: string;
  bytes: number;
}

/** What the API answers instead of a result: https://discord.com/developers/docs/topics/opcodes-and-status-codes */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: number,
    message: string,
    readonly headers: Record<string, string> = {},
    readonly more: Json = {},
  ) {
    super(message);
  }
}

export function flood(seconds: number, global: boolean): ApiError {
  const headers = {
    'retry-after': String(seconds),
    'x-ratelimit-scope': global ? 'global' : 'user',
    ...(global && { 'x-ratelimit-global': 'true' }),
  };
  return new ApiError(429, 0, 'You are being rate limited.', headers, { retry_after: seconds, global });
}

export const invalid = (why: string): ApiError => new ApiError(400, 50_035, `Invalid Form Body: ${why}`);

export function answer(
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: Record<string, string> = {},
): void {
  if (response.destroyed || response.writableEnded) return;
  if (body === undefined) {
    response.writeHead(status === 200 ? 204 : status, headers).end();
    return;
  }
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
}

export function refuse(response: ServerResponse, error: unknown): void {
  const { status, code, message, headers, more } =
    error instanceof ApiError ? error : new ApiError(500, 0, String(error));
  answer(response, status, { message, code, ...more }, headers);
}

/** A body is JSON, or a form whose `payload_json` is the JSON and whose other parts are files. */
export async function readBody(request: IncomingMessage): Promise<{ body: unknown; files: Upload[] }> {
  const bytes = await buffer(request);
  const type = request.headers['content-type'] ?? '';
  if (!type.startsWith('multipart/'))
    return { body: bytes.length ? JSON.parse(String(bytes)) : {}, files: [] };
  const form = await new Response(new Uint8Array(bytes), { headers: { 'content-type': type } }).formData();
  const files = [...form]
    .filter(([key]) => key.startsWith('files['))
    .map(([, part]) =>
      typeof part === 'string' ? { name: '', type: '', bytes: part.length } : upload(part),
    );
  return { body: JSON.parse(String(form.get('payload_json') ?? '{}')), files };
}

const upload = (part: { name: string; type: string; size: number }): Upload => ({
  name: part.name,
  type: part.type,
  bytes: part.size,
});

export function object(value: unknown): Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Json) : {};
}

export const list = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);
