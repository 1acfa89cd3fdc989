import type { Backoff } from '../backoff.ts';

/** How long things may take, in milliseconds unless it says otherwise. */
export interface Timing extends Backoff {
  /** How long Telegram keeps a poll open when there is nothing new, in seconds. */
  pollSeconds: number;
  /** How much longer than that a poll may take before it is given up and replaced. */
  stallMs: number;
  /** Any other call. */
  requestMs: number;
  /** Sending a file, and the longest silence while one is fetched. */
  fileMs: number;
  /** Between attempts with a token that was refused: it will hardly become valid by itself. */
  refusedRetryMs: number;
}

export const TIMING: Timing = {
  pollSeconds: 30,
  stallMs: 10_000,
  requestMs: 20_000,
  fileMs: 120_000,
  firstRetryMs: 500,
  longestRetryMs: 30_000,
  refusedRetryMs: 300_000,
};
