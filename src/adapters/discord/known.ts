/** The rooms that we talk in, each with the last message there that is on disk: where catching up begins. */
import { z } from 'zod';
import type { AdapterState } from '../adapter.ts';
import { snowflake } from './frames.ts';
import type { Place } from './rooms.ts';

export interface KnownRoom extends Place {
  /** The id of the last message that is on disk. */
  seen: string;
}

export interface KnownRooms {
  /** The rooms that were written in most lately, most lately first. */
  latest(count: number): KnownRoom[];
  /** A message is on disk. A room becomes known when it is a direct chat, or when we were addressed in it. */
  saw(place: Place, messageId: string, addressed: boolean): void;
  /** The room is gone, or we may not read it any more. */
  forget(id: string): void;
}

const PREFIX = 'room:';

const stored = z.object({ seen: snowflake, group: z.boolean(), thread: z.boolean() });

export function createKnownRooms(state: AdapterState): KnownRooms {
  const rooms = new Map<string, KnownRoom>();
  for (const [key, value] of state.entries(PREFIX)) {
    const found = stored.safeParse(parse(value));
    if (found.success) rooms.set(key.slice(PREFIX.length), { id: key.slice(PREFIX.length), ...found.data });
  }

  return {
    latest: (count) => [...rooms.values()].sort((a, b) => compareIds(b.seen, a.seen)).slice(0, count),
    saw({ id, group, thread }, messageId, addressed) {
      const before = rooms.get(id);
      if (!before && group && !addressed) return;
      const seen = before && compareIds(before.seen, messageId) > 0 ? before.seen : messageId;
      rooms.set(id, { id, group, thread, seen });
      state.set(PREFIX + id, JSON.stringify({ seen, group, thread }));
    },
    forget(id) {
      rooms.delete(id);
      state.set(PREFIX + id, '');
    },
  };
}

/** Ids grow with time: https://discord.com/developers/docs/reference#snowflakes */
export function compareIds(a: string, b: string): number {
  return a.length - b.length || (a < b ? -1 : a > b ? 1 : 0);
}

function parse(value: string): unknown {
  try {
    return JSON.parse(value);
  } catch {
    return undefined;
  }
}
