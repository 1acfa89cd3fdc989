/** What the client library throws, as our own errors. None of them holds the token, which is part of every address. */
import { KimiError } from '../../errors.ts';
import { innermostCode, isBeforeSending, isObject } from '../network.ts';

/** Why a call failed: the API refused it, or there was no answer that can be understood. */
export type Trouble =
  | { kind: 'api'; code: number; description: string; retryAfterMs: number | undefined }
  | { kind: 'network'; reason: string; received: boolean }
  | { kind: 'aborted' };

/** Reads what a call threw. Looks at shapes, not at classes, so that the library need not be loaded for it. */
export function diagnose(error: unknown): Trouble {
  if (isObject(error) && error.code === 'ETELEGRAM' && typeof error.errorCode === 'number') {
    const parameters = isObject(error.parameters) ? error.parameters : {};
    const seconds = parameters.retry_after;
    return {
      kind: 'api',
      code: error.errorCode,
      description: typeof error.description === 'string' ? error.description : 'no description',
      retryAfterMs: typeof seconds === 'number' && seconds >= 0 ? seconds * 1_000 : undefined,
    };
  }
  if (isObject(error) && error.name === 'AbortError') return { kind: 'aborted' };
  const code = innermostCode(error);
  if (code === 'EFETCH') return { kind: 'network', reason: serverError(error), received: true };
  if (code === undefined || code === 'EPARSE' || code === 'ETELEGRAM') {
    return { kind: 'network', reason: 'an answer that cannot be understood', received: true };
  }
  return { kind: 'network', reason: code, received: !isBeforeSending(code) };
}

/** `doing` says what was tried: "send a message". */
export function toKimiError(trouble: Trouble, doing: string, token: string): KimiError {
  const scrub = (text: string): string => text.replaceAll(token, '[token]');
  if (trouble.kind === 'aborted') {
    return new KimiError(`Stopped while trying to ${doing}; it may have happened. Try again if it matters.`, {
      code: 'stopped',
      retryable: true,
      outcomeUnknown: true,
    });
  }
  if (trouble.kind === 'network') {
    return new KimiError(
      `Could not ${doing}: ${scrub(trouble.reason)}. Check the network and channels.telegram.apiRoot; it is tried again.`,
      { code: 'network', retryable: true, outcomeUnknown: trouble.received },
    );
  }
  const said = `${trouble.code} ${scrub(trouble.description)}`;
  if (trouble.code === 429) {
    const retryAfterMs = trouble.retryAfterMs ?? 1_000;
    return new KimiError(`Telegram asks to wait ${retryAfterMs / 1_000} s before it lets us ${doing}.`, {
      code: 'rate_limited',
      retryable: true,
      retryAfterMs,
    });
  }
  if (trouble.code === 401 || trouble.code === 404) {
    return new KimiError(
      `Telegram refuses the token (${said}). Get a valid one from @BotFather and set channels.telegram.token.`,
      { code: 'unauthorized' },
    );
  }
  if (trouble.code >= 500) {
    return new KimiError(`Telegram could not ${doing} (${said}). It is tried again.`, {
      code: 'network',
      retryable: true,
    });
  }
  return new KimiError(
    `Telegram refused to ${doing} (${said}). Nothing more is tried; the person may write again.`,
    {
      code: 'refused',
    },
  );
}

function serverError(error: unknown): string {
  const status = isObject(error) && /Server error (\d{3})/.exec(String(error.message))?.[1];
  return status ? `server error ${status}` : 'the connection failed';
}
