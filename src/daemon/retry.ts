/** What becomes of a message that could not be delivered. */
import type { KimiError } from '../errors.ts';
import type { OutboxRow } from '../memory/outbox.ts';

export type Fate =
  /** Tried again after so many milliseconds; `unknown` when it may have arrived all the same. */
  | { state: 'queued' | 'unknown'; afterMs: number }
  /** The message that showed it is gone: sent as a new one. */
  | { state: 'resend' }
  | { state: 'dead' };

/** What cannot be delivered for so long is a dead letter. */
const GIVE_UP_MS = 24 * 3_600_000;
const FIRST_RETRY_MS = 1_000;
const LONGEST_RETRY_MS = 5 * 60_000;
/** A recipient who is away is waited for; coming back ends the wait. */
const AWAY_MS = 3_600_000;
/** An error that nobody foresaw may be a defect of ours: it is not repeated all day. */
const MOST_UNFORESEEN = 5;

export function fateOf(row: OutboxRow, error: KimiError, now: number): Fate {
  const backoff = Math.min(FIRST_RETRY_MS * 2 ** row.attempts, LONGEST_RETRY_MS);
  switch (error.code) {
    case 'rate_limited':
      return { state: 'queued', afterMs: error.retryAfterMs ?? FIRST_RETRY_MS };
    case 'recipient_away':
      return { state: 'queued', afterMs: AWAY_MS };
    case 'refused':
      return row.messageId !== null && row.final === 1 ? { state: 'resend' } : { state: 'dead' };
    case 'internal':
      return row.attempts + 1 < MOST_UNFORESEEN ? { state: 'queued', afterMs: backoff } : { state: 'dead' };
    default: {
      const mayPass = error.retryable || error.code === 'unauthorized';
      if (!mayPass || now - row.createdAt > GIVE_UP_MS) return { state: 'dead' };
      const unknown = error.outcomeUnknown && row.messageId === null;
      return { state: unknown ? 'unknown' : 'queued', afterMs: backoff };
    }
  }
}
