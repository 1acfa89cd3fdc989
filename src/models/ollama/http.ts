/** The `fetch` that the Ollama client works through. */
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { Readable } from 'node:stream';
import type { ReadableStream } from 'node:stream/web';

/** The longest line of a stream, in characters; a token is a few dozen bytes, an image description some kilobytes. */
const MAX_LINE = 1_000_000;
const MAX_ERROR_BODY = 4_096;

/** Ollama answered, but with a status that is not 2xx. */
export class HttpStatusError extends Error {
  override readonly name = 'HttpStatusError';
  readonly status: number;
  readonly retryAfterMs: number | undefined;

  constructor(status: number, message: string, retryAfterMs: number | undefined) {
    super(message);
    this.status = status;
    this.retryAfterMs = retryAfterMs;
  }
}

/** Ollama answered with something that is not its protocol. */
export class GarbledError extends Error {
  override readonly name = 'GarbledError';
}

/**
 * A `fetch` whose requests end when any of `signals` is aborted, over node:http. The global one will not do: it gives up after five minutes without
 * a header, which is what a large model on a slow machine may take to its first token, and the client hands it no
 * signal for most calls. It also checks what the client lets pass: the client prints lines that are not JSON to the
 * console, with whatever they hold, and goes on.
 */
export function createFetch(signals: readonly AbortSignal[]): typeof fetch {
  return async (input, init) => {
    const url = new URL(String(input));
    const all = init?.signal ? [...signals, init.signal] : signals;
    try {
      return await receive(await exchange(url, init, all));
    } catch (error) {
      // A kept connection that Ollama closed meanwhile, in a restart for one: the request never reached it.
      if (error instanceof StaleConnectionError)
        return receive(await exchange(url, init, all, { kept: false }));
      throw error;
    }
  };
}

class StaleConnectionError extends Error {}

/** Sends one request, over a kept connection or a new one; resolves with its response's head. An abort of any signal ends it, until it is over. */
function exchange(
  url: URL,
  init: RequestInit | undefined,
  signals: readonly AbortSignal[],
  { kept } = { kept: true },
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const send = url.protocol === 'https:' ? httpsRequest : httpRequest;
    const request = send(url, {
      method: init?.method ?? 'GET',
      headers: Object.fromEntries(new Headers(init?.headers)),
      ...(kept ? {} : { agent: false }),
    });
    // Listeners that are taken off again: AbortSignal.any would leave something on the daemon's long-lived signals.
    let response: IncomingMessage | undefined;
    const abort = () => {
      // After the last byte the connection may serve another request already.
      if (!response?.complete) request.destroy();
    };
    for (const signal of signals) signal.addEventListener('abort', abort);
    request.on('close', () => {
      for (const signal of signals) signal.removeEventListener('abort', abort);
    });
    request.on('error', (error: NodeJS.ErrnoException) => {
      const stale = request.reusedSocket && (error.code === 'ECONNRESET' || error.code === 'EPIPE');
      reject(stale ? new StaleConnectionError(error.message, { cause: error }) : error);
    });
    request.on('response', (head) => {
      response = head;
      resolve(head);
    });
    if (signals.some((signal) => signal.aborted)) abort();
    else request.end(init?.body ?? undefined);
  });
}

async function receive(response: IncomingMessage): Promise<Response> {
  const status = response.statusCode ?? 0;
  if (status < 200 || status > 299) {
    throw new HttpStatusError(status, await errorText(response), retryAfter(response));
  }
  const contentType = response.headers['content-type'] ?? '';
  const body = contentType.includes('ndjson') ? Readable.from(checkedLines(response)) : response;
  return new Response(Readable.toWeb(body) as ReadableStream<Uint8Array>, {
    status,
    headers: { 'content-type': contentType },
  });
}

/** Yields whole lines, each known to be JSON. Throws a GarbledError on anything else, also on a last line cut short. */
async function* checkedLines(response: IncomingMessage): AsyncGenerator<Uint8Array> {
  const decoder = new TextDecoder();
  const encoder = new TextEncoder();
  let rest = '';
  for await (const chunk of response as AsyncIterable<Uint8Array>) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
    rest = lines.pop() ?? '';
    if (rest.length > MAX_LINE) throw new GarbledError('a line without an end');
    for (const line of lines) {
      if (line.trim() === '') continue;
      check(line);
      yield encoder.encode(`${line}\n`);
    }
  }
  rest += decoder.decode();
  if (rest.trim() !== '') {
    check(rest);
    yield encoder.encode(`${rest}\n`);
  }
}

function check(line: string): void {
  try {
    const value: unknown = JSON.parse(line);
    if (typeof value === 'object' && value !== null) return;
  } catch {
    // Said below, without the line itself: it may hold what somebody wrote.
  }
  throw new GarbledError('a line that is not JSON');
}

async function errorText(response: IncomingMessage): Promise<string> {
  let text = '';
  response.setEncoding('utf8');
  for await (const chunk of response as AsyncIterable<string>) {
    text += chunk;
    if (text.length > MAX_ERROR_BODY) break;
  }
  try {
    const body: unknown = JSON.parse(text);
    if (typeof body === 'object' && body !== null && 'error' in body) return String(body.error);
  } catch {
    // Not JSON: a proxy's page, of which the beginning is enough.
  }
  return text.slice(0, 200).replace(/\s+/g, ' ').trim();
}

/** The header's seconds as milliseconds. Ollama sends no dates there. */
function retryAfter(response: IncomingMessage): number | undefined {
  const seconds = Number(response.headers['retry-after']);
  return Number.isFinite(seconds) && seconds >= 0 ? seconds * 1_000 : undefined;
}
