/** How the Bot API is spoken over HTTP: bodies in, envelopes out. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { buffer } from 'node:stream/consumers';

export type Params = Record<string, unknown>;

/** What the API answers instead of a result. */
export class ApiError extends Error {
  constructor(
    readonly code: number,
    description: string,
    readonly parameters?: Record<string, unknown>,
  ) {
    super(description);
  }
}

export function flood(seconds: number): ApiError {
  return new ApiError(429, `Too Many Requests: retry after ${seconds}`, { retry_after: seconds });
}

export function answer(response: ServerResponse, status: number, body: unknown): void {
  if (response.destroyed || response.writableEnded) return;
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
}

export function refuse(response: ServerResponse, error: unknown): void {
  const { code, message, parameters } = error instanceof ApiError ? error : new ApiError(500, String(error));
  answer(response, code, {
    ok: false,
    error_code: code,
    description: message,
    ...(parameters && { parameters }),
  });
}

/** Bodies come as JSON, as forms or as multipart. */
export async function readParams(request: IncomingMessage): Promise<Params> {
  const body = await buffer(request);
  const type = request.headers['content-type'] ?? '';
  if (body.length === 0) return {};
  if (type.startsWith('application/json')) return object(body.toString());
  const form = await new Response(body, { headers: { 'content-type': type } }).formData();
  return Object.fromEntries([...form].map(([key, value]) => [key, value]));
}

export function integer(value: unknown): number | undefined {
  const number = typeof value === 'string' && value !== '' ? Number(value) : value;
  return typeof number === 'number' && Number.isSafeInteger(number) ? number : undefined;
}

/** An object, which forms carry as JSON. */
export function object(value: unknown): Record<string, unknown> {
  const found = structured(value);
  return typeof found === 'object' && found !== null && !Array.isArray(found)
    ? (found as Record<string, unknown>)
    : {};
}

export function list(value: unknown): unknown[] | undefined {
  const found = structured(value);
  return Array.isArray(found) ? found : undefined;
}

export const truth = (value: unknown): boolean => value === true || value === 'true';

function structured(value: unknown): unknown {
  if (typeof value !== 'string') return value;
  try {
    return JSON.parse(value);
  } catch {
    return undefined;
  }
}
