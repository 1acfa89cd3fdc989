/** How the Web API answers and reads what it is sent. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { text } from 'node:stream/consumers';

export type Params = Record<string, string>;

/** An answer `{ ok: false, error }`, or a status of HTTP. */
export class ApiError extends Error {
  constructor(
    readonly error: string,
    readonly more: Record<string, unknown> = {},
  ) {
    super(error);
  }
}

/** "Too many requests": https://docs.slack.dev/apis/web-api/rate-limits */
export class Limited extends Error {
  constructor(readonly retryAfter: number) {
    super('ratelimited');
  }
}

export function answer(response: ServerResponse, status: number, body: unknown, headers = {}): void {
  if (response.destroyed || response.writableEnded) return;
  response.writeHead(status, { 'content-type': 'application/json; charset=utf-8', ...headers });
  response.end(JSON.stringify(body));
}

export function refuse(response: ServerResponse, error: unknown): void {
  if (error instanceof Limited) {
    answer(response, 429, { ok: false, error: 'ratelimited' }, { 'retry-after': String(error.retryAfter) });
  } else if (error instanceof ApiError) {
    answer(response, 200, { ok: false, error: error.error, ...error.more });
  } else {
    answer(response, 500, { ok: false, error: String(error) });
  }
}

/** Bodies are forms; whatever is structured in them is JSON. */
export async function readParams(request: IncomingMessage): Promise<Params> {
  const body = await text(request);
  const type = request.headers['content-type'] ?? '';
  if (!type.startsWith('application/x-www-form-urlencoded')) throw new ApiError('invalid_post_type');
  return Object.fromEntries(new URLSearchParams(body));
}

/** Refuses fields that a method does not have. */
export function checkFields(
  params: Params,
  known: readonly string[],
  required: readonly string[] = [],
): void {
  const unknown = Object.keys(params).find((name) => !known.includes(name) && !required.includes(name));
  if (unknown)
    throw new ApiError('invalid_arguments', { response_metadata: { messages: [`unknown: ${unknown}`] } });
  const missing = required.find((name) => !params[name]);
  if (missing)
    throw new ApiError('invalid_arguments', { response_metadata: { messages: [`missing: ${missing}`] } });
}

export function json(value: string | undefined, error: string): unknown {
  if (value === undefined) return undefined;
  try {
    return JSON.parse(value);
  } catch {
    throw new ApiError(error);
  }
}

export function object(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}
