/**
 * event ─▶ its room's line ─▶ convert ─▶ receive (on disk) ─▶ remember where we are ─▶ acknowledge
 *
 * Discord waits for no acknowledgement of messages: what counts as received is what we remember. Each room has a line
 * of its own, so that one that must catch up keeps no other waiting.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Log } from '../../log.ts';
import type { Inbound } from '../../message.ts';
import type { Receive } from '../adapter.ts';
import { backoff } from '../backoff.ts';
import type { HealthRecord } from '../health.ts';
import type { DiscordApi } from './api.ts';
import { createCatchUp } from './catchup.ts';
import { CODES, failedWith } from './errors.ts';
import type { Me } from './frames.ts';
import { convertInteraction, convertMessage, type Interaction, whereabouts } from './inbound.ts';
import type { Interactions } from './interactions.ts';
import type { KnownRoom, KnownRooms } from './known.ts';
import type { Place, Rooms } from './rooms.ts';
import type { Timing } from './timing.ts';

const NOT_STORED =
  'A message could not be stored. It is kept in memory and tried again; check the disk with `kimi doctor`.';

/** How many rooms are caught up with after a break, those first that were written in last. */
const MOST_ROOMS = 200;
/** How many at once: answers to people go first. */
const AT_ONCE = 4;

/** The kinds of answer to an interaction: https://discord.com/developers/docs/interactions/receiving-and-responding#interaction-response-object */
const ACKNOWLEDGE: Record<Interaction['kind'], object> = { command: { type: 5 }, press: { type: 6 } };

export interface ReceiverOptions {
  api: DiscordApi;
  channel: string;
  receive: Receive;
  rooms: Rooms;
  known: KnownRooms;
  interactions: Interactions;
  health: HealthRecord;
  log: Log;
  timing: Timing;
  signal: AbortSignal;
}

export interface Receiver {
  /** Takes an event in. Calls `done` once it is on disk, or is nothing to us. */
  event(type: string, data: Record<string, unknown>, me: Me, done: () => void): void;
  /** A session began: what came in known rooms while there was none is fetched before what comes now. */
  catchUp(me: Me): void;
  /** Resolves when nothing is under way. */
  idle(): Promise<void>;
}

export function createReceiver(options: ReceiverOptions): Receiver {
  const { api, channel, receive, rooms, known, interactions, health, log, timing, signal } = options;
  const lines = new Map<string, Promise<void>>();
  const behind = new Set<string>();
  const fetchMissed = createCatchUp({ api, channel, log, timing, signal });
  const gate = createGate(AT_ONCE);

  /** Does `task` when all before it in the same line is done. */
  function enqueue(line: string, task: () => Promise<void>): void {
    const last = (lines.get(line) ?? Promise.resolve()).then(task).catch((error: unknown) => {
      log.warn({ channel, err: error }, 'an event could not be read and is passed over');
    });
    lines.set(line, last);
    void last.finally(() => {
      if (lines.get(line) === last) lines.delete(line);
    });
  }

  /** Hands a message over, however often the disk fails. False when stopped before it was on disk. */
  async function store(inbound: Inbound): Promise<boolean> {
    for (let failures = 1; !signal.aborted; failures++) {
      try {
        await receive(inbound);
        health.sawMessage();
        if (health.read().lastError === NOT_STORED) health.set('connected');
        return true;
      } catch (error) {
        if (health.set('retrying', NOT_STORED)) log.error({ channel, err: error }, NOT_STORED);
        await sleep(backoff(failures, timing), undefined, { signal }).catch(() => undefined);
      }
    }
    return false;
  }

  /** False when it is not on disk, though it should be. */
  async function takeMessage(data: Record<string, unknown>, me: Me, place: Place): Promise<boolean> {
    const converted = convertMessage(data, me, place, rooms, channel);
    if ('ignored' in converted) {
      log.debug({ channel, kind: converted.ignored }, 'event ignored');
      return true;
    }
    const { inbound } = converted;
    if (!(await store(inbound))) return false;
    // What was missed before it is still to be fetched: from where we were.
    if (!behind.has(place.id)) known.saw(place, String(data.id), inbound.addressed);
    return true;
  }

  async function catchUpRoom(room: KnownRoom, me: Me): Promise<void> {
    behind.delete(room.id);
    const outcome = await gate(() =>
      fetchMissed(room, async (message) => {
        if (!(await takeMessage(message as Record<string, unknown>, me, room))) throw new Error('stopped');
      }),
    );
    if (outcome === 'gone') known.forget(room.id);
    if (outcome === 'failed') behind.add(room.id);
  }

  async function takeInteraction(data: Record<string, unknown>, me: Me, place: Place): Promise<boolean> {
    const converted = convertInteraction(data, me, place, channel);
    if ('ignored' in converted) {
      log.debug({ channel, kind: converted.ignored }, 'event ignored');
      return true;
    }
    const { inbound, interaction } = converted;
    if (interaction.kind === 'command') interactions.add(interaction, me.applicationId);
    if (!(await store(inbound))) return false;
    acknowledge(interaction, inbound.messageId).catch((error: unknown) => {
      log.warn({ channel, err: error }, 'a command could not be acknowledged');
    });
    return true;
  }

  /** Within three seconds of its coming, or the person is told that we did not respond. */
  async function acknowledge({ id, token, kind }: Interaction, messageId: string): Promise<void> {
    for (let attempt = 0; attempt < 2; attempt++) {
      try {
        await api.call(
          {
            doing: 'acknowledge a command',
            method: 'POST',
            route: `/interactions/${id}/${token}/callback`,
            body: ACKNOWLEDGE[kind],
            auth: false,
          },
          signal,
        );
        return;
      } catch (error) {
        if (failedWith(error, CODES.interactionAcknowledged)) return;
        if (failedWith(error, CODES.unknownInteraction)) return interactions.drop(messageId);
        const reason = error instanceof Error ? error.message : 'unknown';
        log.debug({ channel, reason }, 'a command could not be acknowledged');
      }
    }
  }

  return {
    event(type, data, me, done) {
      const where = whereabouts(data);
      if (!where || (type !== 'MESSAGE_CREATE' && type !== 'INTERACTION_CREATE')) {
        rooms.learn(type, data, me);
        return done();
      }
      // A command must not wait for what a room has yet to catch up with.
      const line = type === 'MESSAGE_CREATE' ? where.id : `/${where.id}`;
      enqueue(line, async () => {
        const missed = behind.has(where.id) && known.latest(MOST_ROOMS).find((room) => room.id === where.id);
        if (missed && type === 'MESSAGE_CREATE') await catchUpRoom(missed, me);
        let stored = true;
        try {
          const place = await rooms.place(where.id, where.group, where.type, signal);
          const take = type === 'MESSAGE_CREATE' ? takeMessage : takeInteraction;
          stored = await take(data, me, place);
        } finally {
          if (stored) done();
        }
      });
    },
    catchUp(me) {
      for (const room of known.latest(MOST_ROOMS)) enqueue(room.id, () => catchUpRoom(room, me));
    },
    async idle() {
      while (lines.size > 0) await Promise.allSettled(lines.values());
    },
  };
}

/** Lets so many through at once; the others wait. */
function createGate(places: number): <T>(work: () => Promise<T>) => Promise<T> {
  const waiting: (() => void)[] = [];
  let free = places;
  return async (work) => {
    if (free > 0) free--;
    else await new Promise<void>((resolve) => waiting.push(resolve));
    try {
      return await work();
    } finally {
      const next = waiting.shift();
      if (next) next();
      else free++;
    }
  };
}
