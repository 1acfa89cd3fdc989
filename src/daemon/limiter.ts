/** Keeps the platforms' rates: a write waits for its room's turn, then for a place among all writes of the channel. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { RateLimits } from '../adapters/adapter.ts';

const MINUTE_MS = 60_000;
/** Rooms that were quiet for longer than any limit reaches back are forgotten. */
const MOST_ROOMS = 10_000;

export interface Limiter {
  /** Resolves when a write to `room` may go out, which then counts. Rejects when aborted. */
  acquire(room: string, group: boolean, signal: AbortSignal): Promise<void>;
  /** The platform asked us to wait: no write to `room` (to any room, without one) for `ms`. */
  pause(ms: number, room?: string): void;
}

export function createLimiter(rates: RateLimits, now: () => number = Date.now): Limiter {
  /** For each room, when it was last written to within the past minute, or may next be. */
  const rooms = new Map<string, { writes: number[]; notBefore: number }>();
  let all: number[] = [];
  let allNotBefore = 0;

  const room = (name: string) => {
    let entry = rooms.get(name);
    if (!entry) {
      entry = { writes: [], notBefore: 0 };
      rooms.set(name, entry);
      if (rooms.size > MOST_ROOMS) forgetQuiet();
    }
    return entry;
  };

  function forgetQuiet(): void {
    const since = now() - MINUTE_MS;
    for (const [name, entry] of rooms) {
      if (entry.notBefore <= now() && (entry.writes.at(-1) ?? 0) < since) rooms.delete(name);
    }
  }

  function roomDue(name: string, group: boolean): number {
    const entry = room(name);
    const last = entry.writes.at(-1);
    const afterLast = last === undefined ? 0 : last + rates.chatIntervalMs;
    const nth = group && rates.groupPerMinute ? entry.writes.at(-rates.groupPerMinute) : undefined;
    return Math.max(entry.notBefore, afterLast, nth === undefined ? 0 : nth + MINUTE_MS);
  }

  function channelDue(): number {
    const nth = rates.perSecond ? all.at(-rates.perSecond) : undefined;
    return Math.max(allNotBefore, nth === undefined ? 0 : nth + 1_000);
  }

  function record(name: string): void {
    const at = now();
    const entry = room(name);
    entry.writes = [...entry.writes.filter((write) => write > at - MINUTE_MS), at];
    if (rates.perSecond) all = [...all.slice(1 - rates.perSecond), at];
  }

  return {
    async acquire(name, group, signal) {
      for (;;) {
        const wait = Math.max(roomDue(name, group), channelDue()) - now();
        if (wait <= 0) break;
        // Not slept to the end at once where it is long: a pause or another room's write may move the instant.
        await sleep(Math.min(wait, 1_000), undefined, { signal });
      }
      signal.throwIfAborted();
      record(name);
    },
    pause(ms, name) {
      const until = now() + ms;
      if (name === undefined) allNotBefore = Math.max(allNotBefore, until);
      else room(name).notBefore = Math.max(room(name).notBefore, until);
    },
  };
}
