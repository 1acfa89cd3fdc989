/** Discord's rate limits: five writes in five seconds a room and kind of call, fifty a second in all. */
import { type ApiError, flood } from './http.ts';

const PER_BUCKET = 5;
const WINDOW_MS = 5_000;
const PER_SECOND = 50;

export class Rates {
  /** Calls that came before they were allowed to. */
  readonly refused: { bucket: string; at: number }[] = [];
  private readonly buckets = new Map<string, { left: number; resetAt: number }>();
  private latest: number[] = [];

  /** Counts a call, and returns the headers that tell where its bucket stands. */
  count(bucket: string): Record<string, string> {
    const now = Date.now();
    this.latest = [...this.latest.filter((at) => at > now - 1_000), now];
    if (this.latest.length > PER_SECOND) throw this.refuse(bucket, flood(1, true));
    const before = this.buckets.get(bucket);
    const state = before && before.resetAt > now ? before : { left: PER_BUCKET, resetAt: now + WINDOW_MS };
    this.buckets.set(bucket, state);
    const wait = (state.resetAt - now) / 1_000;
    if (state.left === 0) throw this.refuse(bucket, flood(wait, false));
    state.left--;
    return {
      'x-ratelimit-limit': String(PER_BUCKET),
      'x-ratelimit-remaining': String(state.left),
      'x-ratelimit-reset-after': String(wait),
      'x-ratelimit-bucket': bucket.replace(/\d/g, ''),
    };
  }

  private refuse(bucket: string, error: ApiError): ApiError {
    this.refused.push({ bucket, at: Date.now() });
    return error;
  }
}
