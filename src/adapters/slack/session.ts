/**
 * Receiving: log in ─▶ open a socket ─▶ envelope ─▶ receive (on disk) ─▶ only then acknowledged.
 *
 * A socket that is about to end is closed when the next one is open. The bot token is tried before each.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Inbound } from '../../message.ts';
import type { AdapterContext, Receive } from '../adapter.ts';
import { backoff } from '../backoff.ts';
import type { HealthRecord } from '../health.ts';
import { ownError, type SlackApi } from './api.ts';
import { type Acknowledge, type Connection, type Ended, openConnection } from './connection.ts';
import { convert, type Envelope } from './inbound.ts';
import type { Me } from './text.ts';
import type { Timing } from './timing.ts';

const ENDED = 'The connection to Slack ended. It is made again; nothing is to be done.';
const SWITCHED_OFF =
  'Socket Mode was switched off for this app. Switch it on at api.slack.com/apps, "Socket Mode".';
const NOT_STORED = 'A message could not be stored. Slack sends it again; check the disk with `kimi doctor`.';

export interface SessionOptions {
  api: SlackApi;
  appToken: string;
  channel: string;
  receive: Receive;
  context: AdapterContext;
  health: HealthRecord;
  timing: Timing;
}

export interface Session {
  /** The bot token was refused: looks whether that is so. */
  recheck(): void;
  stop(): Promise<void>;
}

export function startSession(options: SessionOptions): Session {
  const { api, appToken, channel, receive, context, health, timing } = options;
  const { log } = context;
  const stopping = new AbortController();
  const { signal } = stopping;
  const commands = context.commands.map(({ name }) => name);
  let me: Me = { team: '', user: '', name: '' };
  let recheck: () => void = () => undefined;
  /** Envelopes are taken one after the other, whichever socket they come on: the order of a room is kept. */
  let intake: Promise<void> = Promise.resolve();

  function pause(ms: number): Promise<void> {
    return sleep(ms, undefined, { signal }).catch(() => undefined);
  }

  function say(state: 'retrying' | 'refused', message: string, waitMs: number): void {
    if (health.set(state, message)) log.warn({ channel, waitMs: Math.round(waitMs) }, message);
  }

  /** Tries until it works, waiting in between as long as the trouble asks for. Undefined once stopped. */
  async function persist<T>(attempt: () => Promise<T>): Promise<T | undefined> {
    for (let failures = 1; !signal.aborted; failures++) {
      try {
        return await attempt();
      } catch (error) {
        if (signal.aborted) break;
        const { code, message, retryAfterMs } = ownError(error);
        const refused = code === 'unauthorized' || code === 'refused';
        const waitMs = refused ? timing.refusedRetryMs : (retryAfterMs ?? backoff(failures, timing));
        say(refused ? 'refused' : 'retrying', message, waitMs);
        await pause(waitMs);
      }
    }
    return undefined;
  }

  function logIn(): Promise<Me> {
    return api.call('log in', signal, async (client) => {
      const { team_id, user_id, user, team } = await client.auth.test();
      if (!team_id || !user_id) throw new TypeError('no bot in the answer');
      const name = user ?? user_id;
      health.identify(`@${name} in ${team ?? team_id}`);
      return { team: team_id, user: user_id, name };
    });
  }

  function open(): Promise<Connection> {
    return openConnection({
      appToken,
      apiUrl: api.url,
      timing,
      signal,
      onEnvelope(envelope, acknowledge) {
        intake = intake.then(() => take(envelope, acknowledge));
      },
      onUnreadable: () => log.debug({ channel }, 'a frame could not be read and is passed over'),
    });
  }

  /** Hands one envelope over, and acknowledges it once it is on disk. Never rejects. */
  async function take(envelope: Envelope, acknowledge: Acknowledge): Promise<void> {
    if (signal.aborted) return;
    const inbound = read(envelope);
    try {
      if (inbound) await receive(inbound);
    } catch (error) {
      health.set(health.read().state, NOT_STORED);
      log.error({ channel, err: error }, NOT_STORED);
      return;
    }
    if (inbound) health.sawMessage();
    if (inbound && health.read().lastError === NOT_STORED) health.set(health.read().state);
    await acknowledge().catch(() => log.debug({ channel }, 'not acknowledged: the socket is closed'));
  }

  function read(envelope: Envelope): Inbound | undefined {
    try {
      const converted = convert(envelope, { me, channel, commands });
      if ('inbound' in converted) return converted.inbound;
      log.debug({ channel, kind: converted.ignored }, 'envelope ignored');
    } catch {
      log.warn({ channel }, 'an envelope could not be read and is passed over');
    }
    return undefined;
  }

  /** What there is to wait for, and to say, before the next connection. */
  async function settle(ended: Ended, shortLived: number): Promise<void> {
    if (ended.kind === 'asked' && ended.reason === 'link_disabled') {
      say('refused', SWITCHED_OFF, timing.refusedRetryMs);
      return pause(timing.refusedRetryMs);
    }
    const waitMs = shortLived > 0 ? backoff(shortLived, timing) : 0;
    if (ended.kind === 'closed') say('retrying', ENDED, waitMs);
    if (waitMs > 0) await pause(waitMs);
  }

  async function run(): Promise<void> {
    let connection: Connection | undefined;
    const stopped = new Promise<undefined>((resolve) => {
      signal.addEventListener('abort', () => resolve(undefined), { once: true });
    });
    for (let shortLived = 0; !signal.aborted; ) {
      me = (await persist(logIn)) ?? me;
      const doubted = new Promise<undefined>((resolve) => {
        recheck = () => resolve(undefined);
      });
      const next = await persist(open);
      const openedAt = Date.now();
      if (next && health.set('connected')) {
        log.info({ channel, identity: health.read().identity }, 'connected');
      }
      connection?.close();
      connection = next;
      const ended = await Promise.race([stopped, doubted, next?.ended]);
      if (!ended) continue;
      shortLived = Date.now() - openedAt < timing.stableMs ? shortLived + 1 : 0;
      await settle(ended, shortLived);
    }
    connection?.close();
  }

  const running = run();
  return {
    recheck: () => recheck(),
    async stop() {
      stopping.abort();
      await running;
      await intake;
    },
  };
}
