/** Discord's REST API through discord.js: loaded when first needed, every call with a time-out, no retries inside. */
import type { REST, RESTOptions, RouteLike } from 'discord.js';
import { CallError, diagnose, type Trouble, toKimiError } from './errors.ts';
import type { Timing } from './timing.ts';

export interface Call {
  /** What is tried, for people: "send a message". */
  doing: string;
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  route: RouteLike;
  body?: unknown;
  query?: Record<string, string>;
  files?: { name: string; contentType: string; data: Buffer }[];
  /** False where the route itself holds a token, as those of interactions do. */
  auth?: boolean;
}

export interface DiscordApi {
  /**
   * Calls the API and returns the answer as it came. Rejects with a {@link CallError}; at once when `signal` aborts
   * and when Discord, or what is known of its limits, asks to wait.
   */
  call(call: Call, signal: AbortSignal): Promise<unknown>;
  /** Ends its timers. It may be used again. */
  close(): void;
}

/**
 * For discord.js: all retries and waits are ours, and an exchange has one time-out, its answer's body included.
 * `stop` ends those under way.
 */
export function restOptions(
  apiUrl: string,
  timing: Pick<Timing, 'requestMs'>,
  stop?: AbortSignal,
): Partial<RESTOptions> {
  const makeRequest = (url: string, init: RequestInit): Promise<Response> =>
    exchange(url, init, [init.signal, stop]);
  return {
    api: apiUrl,
    retries: 0,
    timeout: timing.requestMs,
    // The wait is told exactly as Discord states it.
    offset: 0,
    rejectOnRateLimit: () => true,
    // Its types are undici's, which Node's own fetch is.
    makeRequest: makeRequest as unknown as RESTOptions['makeRequest'],
  };
}

/** The library's time-out ends with the head of an answer, so the body is read before that. */
async function exchange(
  url: string,
  init: RequestInit,
  signals: (AbortSignal | null | undefined)[],
): Promise<Response> {
  // One of its own: an abort after the last byte would end the connection that is kept.
  const controller = new AbortController();
  const abort = (): void => controller.abort();
  for (const signal of signals) {
    if (signal?.aborted) abort();
    signal?.addEventListener('abort', abort, { once: true });
  }
  try {
    const response = await fetch(url, { ...init, redirect: 'error', signal: controller.signal });
    const { status, statusText, headers } = response;
    const body = await response.arrayBuffer();
    return new Response([204, 205, 304].includes(status) ? null : body, { status, statusText, headers });
  } finally {
    for (const signal of signals) signal?.removeEventListener('abort', abort);
  }
}

export interface ConnectOptions {
  token: string;
  apiUrl: string;
  timing: Timing;
}

export function connectApi({ token, apiUrl, timing }: ConnectOptions): DiscordApi {
  let loading: Promise<REST> | undefined;
  const load = async (): Promise<REST> => {
    const { REST } = await import('discord.js');
    return new REST(restOptions(apiUrl, timing));
  };

  return {
    async call({ doing, method, route, query, ...request }, signal) {
      const failed = (trouble: Trouble): CallError => new CallError(trouble, toKimiError(trouble, doing));
      loading ??= load();
      const rest = await loading;
      if (signal.aborted) throw failed({ kind: 'aborted' });
      const controller = new AbortController();
      const abort = (): void => controller.abort();
      signal.addEventListener('abort', abort, { once: true });
      try {
        // The library forgets the token for good once one call was refused.
        rest.setToken(token);
        return await rest.request({
          method,
          fullRoute: route,
          signal: controller.signal,
          ...(query && { query: new URLSearchParams(query) }),
          ...request,
        } as Parameters<REST['request']>[0]);
      } catch (error) {
        throw failed(signal.aborted ? { kind: 'aborted' } : diagnose(error));
      } finally {
        signal.removeEventListener('abort', abort);
      }
    },
    close() {
      void loading?.then((rest) => {
        rest.clearHashSweeper();
        rest.clearHandlerSweeper();
      });
      loading = undefined;
    },
  };
}
