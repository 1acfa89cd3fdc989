/** The Web API through Bolt's client: loaded when first needed, a time-out on every call, no retries and no queue. */
import type { Logger, webApi } from '@slack/bolt';
import { asKimiError, type KimiError } from '../../errors.ts';
import { withDeadline } from '../deadline.ts';
import { diagnose, type TokenName, type Trouble, toKimiError } from './errors.ts';

export interface SlackApi {
  /** Where the API is, with a slash at its end. */
  readonly url: URL;
  /**
   * Calls the API. Rejects with a {@link CallError} when it fails, when its time is over and when `signal` aborts. What
   * `run` throws of its own counts as an answer that cannot be understood.
   */
  call<T>(
    doing: string,
    signal: AbortSignal,
    run: (client: webApi.WebClient, signal: AbortSignal) => Promise<T>,
    timeoutMs?: number,
  ): Promise<T>;
}

/** A failed call: what we make of it, and what went wrong, for those who have a remedy. */
export class CallError extends Error {
  constructor(
    readonly trouble: Trouble,
    readonly error: KimiError,
  ) {
    super(error.message);
  }

  static of(thrown: unknown, doing: string, token: TokenName): CallError {
    if (thrown instanceof CallError) return thrown;
    const trouble = diagnose(thrown);
    return new CallError(trouble, toKimiError(trouble, doing, token));
  }
}

/** The error to show to the daemon. */
export function ownError(error: unknown): KimiError {
  return error instanceof CallError ? error.error : asKimiError(error);
}

export interface ApiOptions {
  botToken: string;
  apiUrl: string;
  timeoutMs: number;
  /** The token was refused. */
  onUnauthorized(): void;
}

export function connectApi({ botToken, apiUrl, timeoutMs, onUnauthorized }: ApiOptions): SlackApi {
  const url = new URL(apiUrl.endsWith('/') ? apiUrl : `${apiUrl}/`);
  return {
    url,
    async call(doing, signal, run, time = timeoutMs) {
      const { webApi } = await import('@slack/bolt');
      try {
        return await withDeadline(time, signal, (abort) =>
          // A client for each call: one whose calls share a queue lets one room's limit hold up all others.
          run(new webApi.WebClient(botToken, clientOptions(url, abort)), abort),
        );
      } catch (thrown) {
        const failed = CallError.of(thrown, doing, 'botToken');
        if (failed.error.code === 'unauthorized') onUnauthorized();
        throw failed;
      }
    },
  };
}

/** Options for one client: it keeps and changes them. When to try again is decided by those who know what was tried. */
export function clientOptions(apiUrl: URL, signal: AbortSignal): webApi.WebClientOptions {
  return {
    slackApiUrl: apiUrl.href,
    allowAbsoluteUrls: false,
    retryConfig: { retries: 0 },
    rejectRateLimitedCalls: true,
    logger: silent,
    fetch: (input, init) => fetch(input, { ...init, signal }),
  };
}

/** The library logs what people write and what it fetches sockets with. What goes wrong is thrown as well. */
export const silent: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  setLevel: () => undefined,
  setName: () => undefined,
  getLevel: () => 'error' as ReturnType<Logger['getLevel']>,
};
