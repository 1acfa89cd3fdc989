/** What is known of rooms and roles: their kinds, for conversations, and their names, for people to read. */
import { z } from 'zod';
import type { DiscordApi } from './api.ts';
import { type Me, snowflake } from './frames.ts';

/** A room as conversations need it. */
export interface Place {
  id: string;
  /** In a server, where there are several people. */
  group: boolean;
  thread: boolean;
}

export interface Rooms {
  /** Takes in what an event tells of rooms and roles. */
  learn(type: string, data: Record<string, unknown>, me: Me | undefined): void;
  /** What a message's room is; asks Discord where nothing has told yet. */
  place(id: string, group: boolean, type: number | undefined, signal: AbortSignal): Promise<Place>;
  nameOf(id: string): string | undefined;
  /** Whether a role is the one that Discord made for us: people mention it as if it were we. */
  isOurs(role: string): boolean;
}

const room = z.object({ id: snowflake, type: z.int(), name: z.string().catch('') });
const role = z.object({
  id: snowflake,
  name: z.string().catch(''),
  tags: z.object({ bot_id: snowflake.optional() }).catch({}),
});

/** https://discord.com/developers/docs/resources/channel#channel-object-channel-types */
const THREADS = [10, 11, 12];

export function createRooms(api: DiscordApi): Rooms {
  const kinds = new Map<string, number>();
  const names = new Map<string, string>();
  const ours = new Set<string>();

  function learnRoom(value: unknown): void {
    const found = room.safeParse(value);
    if (!found.success) return;
    kinds.set(found.data.id, found.data.type);
    names.set(found.data.id, found.data.name);
  }

  function learnRole(value: unknown, me: Me | undefined): void {
    const found = role.safeParse(value);
    if (!found.success) return;
    names.set(found.data.id, found.data.name);
    if (me && found.data.tags.bot_id === me.id) ours.add(found.data.id);
  }

  async function ask(id: string, signal: AbortSignal): Promise<number | undefined> {
    try {
      learnRoom(
        await api.call({ doing: 'look at a channel', method: 'GET', route: `/channels/${id}` }, signal),
      );
    } catch {
      // Taken for an ordinary channel until Discord tells.
    }
    return kinds.get(id);
  }

  return {
    learn(type, data, me) {
      if (type === 'GUILD_CREATE') {
        for (const one of [...list(data.channels), ...list(data.threads)]) learnRoom(one);
        for (const one of list(data.roles)) learnRole(one, me);
      } else if (/^(?:CHANNEL|THREAD)_(?:CREATE|UPDATE)$/.test(type)) {
        learnRoom(data);
      } else if (/^GUILD_ROLE_(?:CREATE|UPDATE)$/.test(type)) {
        learnRole(data.role, me);
      }
    },
    async place(id, group, type, signal) {
      if (!group) return { id, group, thread: false };
      const kind = type ?? kinds.get(id) ?? (await ask(id, signal));
      return { id, group, thread: kind !== undefined && THREADS.includes(kind) };
    },
    nameOf: (id) => names.get(id),
    isOurs: (id) => ours.has(id),
  };
}

const list = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);
