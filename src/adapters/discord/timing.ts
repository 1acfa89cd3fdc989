import type { Backoff } from '../backoff.ts';

/** How long things may take, in milliseconds. */
export interface Timing extends Backoff {
  /** Any call of the REST API, from its beginning to the last byte of its answer. */
  requestMs: number;
  /** From the request for a connection to the gateway's hello, and from there to READY. */
  helloMs: number;
  readyMs: number;
  /** How long the gateway may take to close a connection before it is cut. */
  closeMs: number;
  /** Least time between two sessions: https://discord.com/developers/docs/events/gateway#rate-limiting */
  identifyMs: number;
  /** A connection that held so long was a good one: the next begins without a wait. */
  stableMs: number;
  /** Between attempts with a token or with intents that were refused: somebody has to do something first. */
  refusedRetryMs: number;
}

export const TIMING: Timing = {
  requestMs: 15_000,
  helloMs: 20_000,
  readyMs: 15_000,
  closeMs: 2_000,
  identifyMs: 5_500,
  stableMs: 60_000,
  // After an invalid session Discord wants a wait of one to five seconds.
  firstRetryMs: 2_000,
  longestRetryMs: 120_000,
  refusedRetryMs: 300_000,
};
