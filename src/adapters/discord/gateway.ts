/**
 * Keeps a connection to the gateway: connect ─▶ resume or begin a session ─▶ events, until it ends ─▶ wait ─▶ again.
 *
 * Each connection has a client of its own. discord.js's client retries no login, stops for good after a refusal, is
 * half dead when it is used again, and waits half a second between attempts for ever.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { SessionInfo } from 'discord.js';
import type { Log } from '../../log.ts';
import { backoff } from '../backoff.ts';
import type { HealthRecord } from '../health.ts';
import { restOptions } from './api.ts';
import { diagnose, toKimiError } from './errors.ts';
import type { Me, Session } from './frames.ts';
import type { SessionRecord } from './session.ts';
import { type End, guarded, type Listener } from './shard.ts';
import type { Timing } from './timing.ts';

export interface GatewayOptions {
  token: string;
  apiUrl: string;
  channel: string;
  timing: Timing;
  session: SessionRecord;
  health: HealthRecord;
  log: Log;
  signal: AbortSignal;
  /** A session began: what came while there was none is not sent again. */
  onBegun(session: Session): void;
  /** Call `done` once the event is on disk. */
  onEvent(type: string, data: Record<string, unknown>, me: Me, done: () => void): void;
}

/** Guilds, for the names and kinds of rooms; messages there, in direct chats, and what they say. */
const INTENTS = (1 << 0) | (1 << 9) | (1 << 12) | (1 << 15);

/** What somebody has to mend before it can work: https://discord.com/developers/docs/topics/opcodes-and-status-codes#gateway */
const REFUSED: Record<number, string> = {
  4004: 'Discord refuses the token. Reset it at https://discord.com/developers/applications (your application, Bot) and set channels.discord.token.',
  4013: 'Discord knows none of the intents that we ask for. Update Kimi.',
  4014: 'Discord does not let the bot read messages: switch on Message Content Intent at https://discord.com/developers/applications (your application, Bot).',
};

interface Verdict {
  state: 'retrying' | 'refused';
  message: string;
}

const OUT_OF_SESSIONS: Verdict = {
  state: 'refused',
  message:
    'Discord lets a bot begin 1,000 sessions a day, and they are used up. Look for another program that runs with this token; it goes on by itself tomorrow.',
};

/** Receives until `signal` aborts. Never rejects. */
export async function keepConnected(options: GatewayOptions): Promise<void> {
  const { channel, timing, session, health, log, signal } = options;
  let identifiedAt = 0;

  /** Discord lets a bot begin a session every five seconds. */
  async function waitForIdentify(_shard: number, closed: AbortSignal): Promise<void> {
    const wait = identifiedAt + timing.identifyMs - Date.now();
    if (wait > 0) await sleep(wait, undefined, { signal: closed });
    identifiedAt = Date.now();
  }

  /** One connection, from its beginning to its end. `held` tells whether there was a session on it. */
  async function connect(): Promise<End & { held: boolean }> {
    const { Client, SimpleShardingStrategy } = await import('discord.js');
    let finish = (_end: End): void => undefined;
    const ended = new Promise<End>((resolve) => {
      finish = resolve;
    });
    let held = false;
    const connected = (me: Me): void => {
      held = true;
      health.identify(`@${me.username}`);
      if (health.set('connected')) log.info({ channel, identity: health.read().identity }, 'connected');
    };
    const client = new Client({
      intents: INTENTS,
      shards: [0],
      shardCount: 1,
      rest: restOptions(options.apiUrl, timing, signal),
      ws: {
        buildIdentifyThrottler: () => ({ waitForIdentify }),
        buildStrategy(manager) {
          const { updateSessionInfo } = manager.options;
          Object.assign(manager.options, {
            // The library keeps its session with the client, which does not outlive a connection here.
            retrieveSessionInfo(shard: number): SessionInfo | null {
              const known = sessionInfo(session);
              if (known) updateSessionInfo(shard, known);
              return known;
            },
            handshakeTimeout: timing.helloMs,
            helloTimeout: timing.helloMs,
            readyTimeout: timing.readyMs,
          });
          return guarded(new SimpleShardingStrategy(manager), listener, timing);
        },
      },
    });
    const listener: Listener = {
      onReady(begun) {
        session.begin(begun);
        connected(begun.me);
        options.onBegun(begun);
      },
      onResumed() {
        const resumed = session.current();
        if (resumed) connected(resumed.me);
      },
      onEvent(type, data, sequence) {
        const within = session.current();
        if (within) options.onEvent(type, data, within.me, session.saw(sequence));
      },
      onGarbage: () => log.debug({ channel }, 'a frame that cannot be understood was passed over'),
      onEnd: finish,
    };
    client.on('error', (error) => finish({ resumable: true, error }));
    const stop = (): void => finish({ resumable: true });
    signal.addEventListener('abort', stop, { once: true });
    try {
      client.login(options.token).catch((error: unknown) => finish({ resumable: true, error }));
      return { ...(await ended), held };
    } finally {
      signal.removeEventListener('abort', stop);
      await client.destroy();
    }
  }

  for (let failures = 0; !signal.aborted; ) {
    const beganAt = Date.now();
    const end = await connect().catch((error: unknown) => ({ resumable: true, held: false, error }));
    if (signal.aborted) break;
    if (end.error !== undefined) log.debug({ channel, err: end.error }, 'a connection failed');
    if (!end.resumable) session.end();
    else if (!end.held) session.forgetUrl();
    failures = end.held && Date.now() - beganAt >= timing.stableMs ? 0 : failures + 1;
    const { state, message } = judge(end);
    const again = failures === 0 ? 0 : backoff(failures, timing);
    const waitMs = state === 'refused' ? timing.refusedRetryMs : again;
    if (health.set(state, message)) log.warn({ channel, waitMs: Math.round(waitMs) }, message);
    await sleep(waitMs, undefined, { signal }).catch(() => undefined);
  }
  session.store();
}

function sessionInfo(session: SessionRecord): SessionInfo | null {
  const known = session.current();
  if (!known) return null;
  // Without an address the library takes the one that sessions begin at.
  const resumeURL = known.url as string;
  return { sessionId: known.id, resumeURL, sequence: known.sequence, shardId: 0, shardCount: 1 };
}

/** What to say of the end of a connection. */
function judge({ code, error, resumable }: End): Verdict {
  const refused = REFUSED[isTokenInvalid(error) ? 4004 : (code ?? 0)];
  if (refused) return { state: 'refused', message: refused };
  if (error === undefined) {
    const why =
      code === undefined ? 'Discord asked for a new connection' : `The connection to Discord ended (${code})`;
    const then = resumable ? 'It is resumed' : 'A new one is made, and what was missed is fetched';
    return { state: 'retrying', message: `${why}. ${then}; nothing is to be done.` };
  }
  if (error instanceof Error && error.message.startsWith('Not enough sessions')) return OUT_OF_SESSIONS;
  const own = toKimiError(diagnose(error), 'connect');
  return { state: own.code === 'unauthorized' ? 'refused' : 'retrying', message: own.message };
}

function isTokenInvalid(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'TokenInvalid';
}
