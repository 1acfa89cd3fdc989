import type { Backoff } from '../backoff.ts';

/** How long things may take, in milliseconds. */
export interface Timing extends Backoff {
  /** A call of the Web API. */
  requestMs: number;
  /** The bytes of a file, on their way up; on their way down, between two of them. */
  transferMs: number;
  /** From asking for a socket to its hello. */
  connectMs: number;
  /** How long the socket may leave our pings without an answer. */
  pongMs: number;
  /** How long Slack may leave us without a ping of its own, once it has sent one. */
  pingMs: number;
  /** A connection that lasted less counts as a failed one: the next waits. */
  stableMs: number;
  /** Between attempts with a token that was refused: it will hardly become valid by itself. */
  refusedRetryMs: number;
}

export const TIMING: Timing = {
  requestMs: 20_000,
  transferMs: 120_000,
  connectMs: 20_000,
  pongMs: 5_000,
  pingMs: 30_000,
  stableMs: 10_000,
  firstRetryMs: 500,
  longestRetryMs: 30_000,
  refusedRetryMs: 300_000,
};
