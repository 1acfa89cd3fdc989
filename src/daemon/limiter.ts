/** Keeps the platforms' rates: a write waits for its room's turn, then for a place among all writes of the channel. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { RateLimits } from '../adapters/adapter.ts';

const MINUTE_MS = 60_000;
/** Rooms that were quiet for longer than any limit reaches back are forgotten. */
const MOST_ROOMS = 10_000;

/** A write that went out, or is on its way. The platform took it at some instant before it was done. */
interface Write {
  doneAt: number | undefined;
}

interface Room {
  writes: Write[];
  notBefore: number;
}

export interface Limiter {
  /**
   * Resolves when a write to `room` may go out; call what it returns when the write is done. Distances are kept from
   * then on: however long a write takes on its way, the platform never sees two closer together than it allows.
   * Rejects when aborted.
   */
  acquire(room: string, group: boolean, signal: AbortSignal): Promise<() => void>;
  /** The platform asked us to wait: no write to `room` (to any room, without one) for `ms`. */
  pause(ms: number, room?: string): void;
}

/** How soon it is looked again whether a write that another waits for is done. */
const LOOK_AGAIN_MS = 10;

/** @param now A clock that nobody sets: were it set back, every room would wait until it has caught up. */
export function createLimiter(rates: RateLimits, now: () => number = () => performance.now()): Limiter {
  const rooms = new Map<string, Room>();
  let all: Write[] = [];
  let allNotBefore = 0;

  function roomOf(name: string): Room {
    let room = rooms.get(name);
    if (!room) {
      room = { writes: [], notBefore: 0 };
      rooms.set(name, room);
      if (rooms.size > MOST_ROOMS) forgetQuiet();
    }
    return room;
  }

  function forgetQuiet(): void {
    const isQuiet = ({ writes, notBefore }: Room) =>
      notBefore <= now() && writes.every((write) => !isRecent(write));
    for (const [name, room] of rooms) if (isQuiet(room)) rooms.delete(name);
  }

  const isRecent = ({ doneAt }: Write) => doneAt === undefined || doneAt > now() - MINUTE_MS;

  /** When a write may follow the n-th from the end of `writes` at a distance. */
  function due(writes: readonly Write[], nth: number | undefined, distanceMs: number): number {
    const write = nth === undefined ? undefined : writes.at(-nth);
    if (!write) return 0;
    return write.doneAt === undefined ? now() + LOOK_AGAIN_MS : write.doneAt + distanceMs;
  }

  return {
    async acquire(name, group, signal) {
      for (;;) {
        const { writes, notBefore } = roomOf(name);
        const wait =
          Math.max(
            notBefore,
            allNotBefore,
            due(writes, 1, rates.chatIntervalMs),
            due(writes, group ? rates.groupPerMinute : undefined, MINUTE_MS),
            due(all, rates.perSecond, 1_000),
          ) - now();
        if (wait <= 0) break;
        // Not slept to the end at once where it is long: a pause or another room's write may move the instant.
        await sleep(Math.min(wait, 1_000), undefined, { signal });
      }
      signal.throwIfAborted();
      const write: Write = { doneAt: undefined };
      const room = roomOf(name);
      room.writes = [...room.writes.filter(isRecent), write];
      if (rates.perSecond) all = [...all.slice(1 - rates.perSecond), write];
      return () => {
        write.doneAt = now();
      };
    },
    pause(ms, name) {
      const until = now() + ms;
      if (name === undefined) allNotBefore = Math.max(allNotBefore, until);
      else roomOf(name).notBefore = Math.max(roomOf(name).notBefore, until);
    },
  };
}
