/** The Bot API through node-telegram-bot-api: loaded when first needed, every call with a time-out, no retries inside. */
import type { Api } from 'node-telegram-bot-api';
import { asKimiError, type KimiError } from '../../errors.ts';
import { GivenUp, withDeadline } from '../deadline.ts';
import { diagnose, type Trouble, toKimiError } from './errors.ts';

export interface TelegramApi {
  /**
   * Calls the API. Rejects with a {@link CallError} when it fails, when `timeoutMs` is over and when `signal` aborts;
   * in the last two cases it does so at once, whether or not the library gives the call up. What `run` throws of its
   * own counts as an answer that cannot be understood.
   */
  call<T>(
    doing: string,
    timeoutMs: number,
    signal: AbortSignal,
    run: (api: Api, signal: AbortSignal) => Promise<T>,
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
}

/** The error to show to the daemon. */
export function ownError(error: unknown): KimiError {
  return error instanceof CallError ? error.error : asKimiError(error);
}

export function connectApi({ token, apiRoot }: { token: string; apiRoot: string }): TelegramApi {
  let loading: Promise<Api> | undefined;
  const load = async (): Promise<Api> => {
    const { Bot } = await import('node-telegram-bot-api');
    // Our own loops know better when to try again: what they wait for, and whether a message may go twice.
    return new Bot(token, { apiRoot, maxRetries: 0, timeoutMs: 0 }).api;
  };

  return {
    async call(doing, timeoutMs, signal, run) {
      const failed = (trouble: Trouble): CallError =>
        new CallError(trouble, toKimiError(trouble, doing, token));
      loading ??= load();
      const api = await loading;
      try {
        return await withDeadline(timeoutMs, signal, (abort) => run(api, abort));
      } catch (error) {
        throw failed(error instanceof GivenUp ? givenUp(error) : diagnose(error));
      }
    },
  };
}

function givenUp({ why, message }: GivenUp): Trouble {
  return why === 'aborted' ? { kind: 'aborted' } : { kind: 'network', reason: message, received: true };
}
