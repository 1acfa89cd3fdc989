/** What discord.js throws, as our own errors. None of them holds a token, of ours or of an interaction. */
import { KimiError } from '../../errors.ts';
import { innermostCode, isBeforeSending, isObject } from '../network.ts';

/** Why a call failed: the API refused it, it is to be made later, or there was no answer that can be understood. */
export type Trouble =
  | { kind: 'api'; status: number; code: number; description: string }
  | { kind: 'limited'; retryAfterMs: number }
  | { kind: 'network'; reason: string; received: boolean }
  | { kind: 'aborted' };

/** Of Discord's codes, those that we have a remedy or better words for: https://discord.com/developers/docs/topics/opcodes-and-status-codes#json */
export const CODES = {
  unknownChannel: 10_003,
  unknownMessage: 10_008,
  unknownWebhook: 10_015,
  unknownInteraction: 10_062,
  interactionAcknowledged: 40_060,
  missingAccess: 50_001,
  cannotMessage: 50_007,
  missingPermissions: 50_013,
  invalidWebhookToken: 50_027,
  tooLarge: 40_005,
} as const;

const WORDS: Record<number, string> = {
  [CODES.unknownChannel]: 'the channel is gone',
  [CODES.unknownMessage]: 'the message is gone',
  [CODES.missingAccess]: 'the bot may not see this channel: give its role View Channel there',
  [CODES.cannotMessage]: 'this person takes no direct messages from the bot, or shares no server with it',
  [CODES.missingPermissions]:
    'the bot lacks a permission: give its role Send Messages, Attach Files and Add Reactions',
  [CODES.tooLarge]: 'the file is larger than Discord takes',
};

/** A failed call: what we make of it, and what went wrong, for those who have a remedy. */
export class CallError extends Error {
  constructor(
    readonly trouble: Trouble,
    readonly error: KimiError,
  ) {
    super(error.message);
  }
}

/** Whether a call failed with one of these codes of Discord's. */
export function failedWith(error: unknown, ...codes: number[]): boolean {
  return error instanceof CallError && error.trouble.kind === 'api' && codes.includes(error.trouble.code);
}

/** Reads what a call threw. Looks at shapes, not at classes, so that the library need not be loaded for it. */
export function diagnose(error: unknown): Trouble {
  if (isObject(error) && typeof error.retryAfter === 'number') {
    return { kind: 'limited', retryAfterMs: Math.max(0, Math.ceil(error.retryAfter)) };
  }
  if (isObject(error) && typeof error.status === 'number') {
    const code = typeof error.code === 'number' ? error.code : 0;
    return { kind: 'api', status: error.status, code, description: String(error.message) };
  }
  if (isObject(error) && error.name === 'AbortError') {
    return { kind: 'network', reason: 'no answer in time', received: true };
  }
  const code = innermostCode(error);
  if (code === undefined)
    return { kind: 'network', reason: 'an answer that cannot be understood', received: true };
  return { kind: 'network', reason: code, received: !isBeforeSending(code) };
}

/** `doing` says what was tried: "send a message". */
export function toKimiError(trouble: Trouble, doing: string): KimiError {
  switch (trouble.kind) {
    case 'aborted':
      return new KimiError(
        `Stopped while trying to ${doing}; it may have happened. Try again if it matters.`,
        {
          code: 'stopped',
          retryable: true,
          outcomeUnknown: true,
        },
      );
    case 'limited':
      return new KimiError(
        `Discord asks to wait ${trouble.retryAfterMs / 1_000} s before it lets us ${doing}.`,
        {
          code: 'rate_limited',
          retryable: true,
          retryAfterMs: trouble.retryAfterMs,
        },
      );
    case 'network':
      return new KimiError(
        `Could not ${doing}: ${trouble.reason}. Check the network and channels.discord.apiUrl; it is tried again.`,
        { code: 'network', retryable: true, outcomeUnknown: trouble.received },
      );
    case 'api':
      return refusal(trouble, doing);
  }
}

function refusal({ status, code, description }: Trouble & { kind: 'api' }, doing: string): KimiError {
  const said = code === 0 ? `${status}` : `${status}, ${code}: ${WORDS[code] ?? description}`;
  if (status === 401) {
    return new KimiError(
      'Discord refuses the token. Reset it at https://discord.com/developers/applications (your application, Bot) and set channels.discord.token.',
      { code: 'unauthorized' },
    );
  }
  if (status >= 500) {
    return new KimiError(`Discord could not ${doing} (${said}). It is tried again.`, {
      code: 'network',
      retryable: true,
      outcomeUnknown: true,
    });
  }
  return new KimiError(
    `Discord refused to ${doing} (${said}). Nothing more is tried; the person may write again.`,
    { code: 'refused' },
  );
}
