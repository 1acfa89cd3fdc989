/** How long things may take, in milliseconds unless it says otherwise. */
export interface Timing {
  /** How long Telegram keeps a poll open when there is nothing new, in seconds. */
  pollSeconds: number;
  /** How much longer than that a poll may take before it is given up and replaced. */
  stallMs: number;
  /** Any other call. */
  requestMs: number;
  /** The first wait after a failure; it doubles with each further one, up to the longest. */
  firstRetryMs: number;
  longestRetryMs: number;
  /** Between attempts with a token that was refused: it will hardly become valid by itself. */
  refusedRetryMs: number;
}

export const TIMING: Timing = {
  pollSeconds: 30,
  stallMs: 10_000,
  requestMs: 20_000,
  firstRetryMs: 500,
  longestRetryMs: 30_000,
  refusedRetryMs: 300_000,
};

/** The wait before attempt `failures` + 1: exponential, with half of it left to chance so that clients do not march in step. */
export function backoff(failures: number, timing: Timing): number {
  const full = Math.min(timing.firstRetryMs * 2 ** Math.min(failures - 1, 20), timing.longestRetryMs);
  return full * (0.5 + Math.random() / 2);
}
