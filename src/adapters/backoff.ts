/** How long a channel waits between its attempts. */
export interface Backoff {
  /** The first wait after a failure, in milliseconds; it doubles with each further one, up to the longest. */
  firstRetryMs: number;
  longestRetryMs: number;
}

/** The wait before attempt `failures` + 1: exponential, with half of it left to chance so that clients do not march in step. */
export function backoff(failures: number, { firstRetryMs, longestRetryMs }: Backoff): number {
  const full = Math.min(firstRetryMs * 2 ** Math.min(failures - 1, 20), longestRetryMs);
  return full * (0.5 + Math.random() / 2);
}
