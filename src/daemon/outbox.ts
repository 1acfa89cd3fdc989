/** Delivery: outbox row → limiter → adapter → record. One worker a room, so that order is kept in each. */
import { setMaxListeners } from 'node:events';
import type { Adapter } from '../adapters/adapter.ts';
import { asKimiError, type KimiError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { OutboxRow, Piece } from '../memory/outbox.ts';
import type { Store } from '../memory/store.ts';
import { decodeConversation, type Outbound } from '../message.ts';
import { reach } from '../transition.ts';
import { createLimiter, type Limiter } from './limiter.ts';
import { fateOf } from './retry.ts';

export interface Delivery {
  /** Looks whether a room has yet to be told something. */
  kick(room: string): void;
  /** A channel came (back): its rooms are looked at, without waiting out their retries. */
  attach(adapter: Adapter): void;
  /** A channel went: its rows wait. */
  detach(channel: string): void;
  /** Delivers for up to `ms` what can be delivered now, then ends after what is being sent. */
  close(ms: number): Promise<void>;
}

export interface DeliveryOptions {
  store: Store;
  log: Log;
  now?: () => number;
}

/** After a row could not be recorded (a full disk), so long passes before its room is looked at again. */
const RETRY_MS = 5_000;
/** A timer does not run while the machine sleeps, and a clock can be set: waits are looked at anew so often. */
const LOOK_AGAIN_MS = 60_000;

interface Channel {
  adapter: Adapter;
  limiter: Limiter;
}

export function createDelivery({ store, log, now = Date.now }: DeliveryOptions): Delivery {
  const channels = new Map<string, Channel>();
  const workers = new Map<string, Promise<void>>();
  const timers = new Map<string, NodeJS.Timeout>();
  const closing = new AbortController();
  setMaxListeners(0, closing.signal);

  function kick(room: string): void {
    clearTimeout(timers.get(room));
    timers.delete(room);
    if (closing.signal.aborted || workers.has(room)) return;
    const worker = work(room).catch((error: unknown) => {
      if (closing.signal.aborted) return;
      log.error({ err: error, room }, 'delivery could not be recorded; is the disk full?');
      kickIn(room, RETRY_MS);
    });
    workers.set(room, worker);
  }

  function kickIn(room: string, ms: number): void {
    clearTimeout(timers.get(room));
    timers.set(room, setTimeout(() => kick(room), ms).unref());
  }

  /** Tells a room all that it has yet to be told. */
  async function work(room: string): Promise<void> {
    // Lets a burst of changes to one row become a single write.
    await Promise.resolve();
    const { channel: name } = decodeConversation(room);
    try {
      for (;;) {
        const waiting = store.outbox.next(room);
        const channel = channels.get(name);
        if (!waiting || !channel || closing.signal.aborted) return;
        const wait = waiting.notBefore - now();
        if (wait > 0) {
          // Not a sleep within the worker: a kick must be able to end it.
          kickIn(room, Math.min(wait, LOOK_AGAIN_MS));
          return;
        }
        const done = await channel.limiter.acquire(room, isGroup(waiting), closing.signal);
        try {
          // While it waited for its turn, the text may have grown, the row or the channel's connection gone.
          const row = store.outbox.next(room);
          if (row && row.notBefore <= now() && channels.get(name) === channel) await deliver(channel, row);
        } finally {
          done();
        }
      }
    } finally {
      // In the same instant as the last look: what is queued after it must find no worker.
      workers.delete(room);
    }
  }

  async function deliver({ adapter, limiter }: Channel, row: OutboxRow): Promise<void> {
    const outbound: Outbound = {
      conversation: decodeConversation(row.conversation),
      idempotencyKey: `${row.turn}:${row.seq}`,
      text: row.text,
      final: row.final === 1,
      ...(row.extra !== null && (JSON.parse(row.extra) as Omit<Piece, 'text'>)),
      ...(row.replyTo !== null && { replyTo: row.replyTo }),
    };
    store.outbox.sending(row.id);
    reach('send.begun');
    try {
      await show(adapter, row, outbound);
    } catch (thrown) {
      fail(limiter, row, asKimiError(thrown));
    }
  }

  /** Does what brings the platform to the row's text: sends it, edits it, or takes it away. */
  async function show(adapter: Adapter, row: OutboxRow, outbound: Outbound): Promise<void> {
    // Closing does not cut a send short: half a send is what may come twice.
    const signal = new AbortController().signal;
    if (row.text === '' && row.extra === null) {
      if (row.messageId !== null) await adapter.remove?.(outbound.conversation, row.messageId, signal);
      store.outbox.removed(row.id);
      return;
    }
    if (row.messageId === null) {
      const { messageId } = await adapter.send(outbound, signal);
      reach('send.done');
      store.outbox.shown(row.id, row.version, messageId, now());
    } else {
      await adapter.edit?.(row.messageId, outbound, signal);
      store.outbox.shown(row.id, row.version, row.messageId, now());
    }
    reach('send.recorded');
  }

  function fail(limiter: Limiter, row: OutboxRow, error: KimiError): void {
    const fate = fateOf(row, error, now());
    log.warn({ row: row.id, code: error.code, reason: error.message, fate }, 'a reply was not delivered');
    if (fate.state === 'resend') {
      store.outbox.resend(row.id);
    } else if (fate.state === 'dead') {
      store.outbox.failed(row, 'dead', error.message, 0);
    } else {
      if (error.code === 'rate_limited') limiter.pause(fate.afterMs, row.room);
      store.outbox.failed(row, fate.state, error.message, now() + fate.afterMs);
    }
  }

  return {
    kick,
    attach(adapter) {
      channels.set(adapter.name, { adapter, limiter: createLimiter(adapter.rates) });
      store.outbox.hurry(adapter.name);
      for (const room of store.outbox.rooms()) {
        if (decodeConversation(room).channel === adapter.name) kick(room);
      }
    },
    detach: (channel) => void channels.delete(channel),
    async close(ms) {
      const timer = setTimeout(() => closing.abort(), ms);
      await Promise.allSettled(workers.values());
      clearTimeout(timer);
      closing.abort();
      for (const retry of timers.values()) clearTimeout(retry);
    },
  };
}

/** Rooms where each person has a conversation of their own are groups. */
function isGroup(row: OutboxRow): boolean {
  return decodeConversation(row.conversation).person !== undefined;
}
