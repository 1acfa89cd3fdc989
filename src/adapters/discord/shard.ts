/**
 * One connection to the gateway: discord.js's own, with a guard around it.
 *
 * frame ─▶ read ─▶ what keeps the connection: the library │ events: ours
 *
 * Left alone, the library turns a frame without `d` into a rejection that nobody handles, tears one connection down
 * twice and then dials twice, dials again although it was destroyed while it waited, and leaves a socket whose error
 * nobody hears. So here a connection ends once, is never replaced from within, and what follows is decided outside.
 */
import { setImmediate as nextTick } from 'node:timers/promises';
import type { IShardingStrategy, SimpleShardingStrategy } from 'discord.js';
import { type Frame, readFrame, type Session } from './frames.ts';
import type { Timing } from './timing.ts';

/** How a connection came to its end. */
export interface End {
  /** The code that either side closed with. */
  code?: number;
  /** Whether the session outlives the connection. */
  resumable: boolean;
  error?: unknown;
}

export interface Listener {
  onReady(session: Session): void;
  onResumed(): void;
  onEvent(type: string, data: Record<string, unknown>, sequence: number): void;
  /** A frame was passed over. */
  onGarbage(): void;
  onEnd(end: End): void;
}

/** What the guard relies on of WebSocketShard in @discordjs/ws 1.2.3, which is what discord.js 14.28.1 pins in effect. */
interface LibraryShard {
  readonly status: number;
  connection: Socket | null;
  heartbeatInterval: NodeJS.Timeout | null;
  internalConnect(): Promise<void>;
  onMessage(data: unknown, isBinary: boolean): Promise<void>;
  destroy(options?: DestroyOptions): Promise<void>;
}

interface Socket {
  readyState: number;
  CONNECTING: number;
  on(event: 'error', listener: () => void): void;
  terminate(): void;
}

interface DestroyOptions {
  code?: number;
  reason?: string;
  /** 1 is to be resumed, 0 to begin anew, and without it the library gives up. */
  recover?: number;
}

const RESUME = 1;
const ANEW = 0;
/** What a shard can be in. */
const CONNECTING = 1;
const RESUMING = 2;
/** The connection broke off, or was never made: that is no word of Discord's about the session. */
const BROKEN_OFF = 1_006;
/** A close with 1000 or 1001 would end the session: https://discord.com/developers/docs/events/gateway#initiating-a-disconnect */
const KEEP_SESSION = 4_200;

/** The library's strategy for shards in this process, with its shards guarded. */
export function guarded(
  simple: SimpleShardingStrategy,
  listener: Listener,
  timing: Pick<Timing, 'closeMs' | 'readyMs'>,
): IShardingStrategy {
  let ended = false;
  const onEnd = (end: End): void => {
    if (ended) return;
    ended = true;
    listener.onEnd(end);
  };
  return {
    async spawn(ids) {
      await simple.spawn(ids);
      const { shards } = simple as unknown as { shards: Map<number, LibraryShard> };
      for (const shard of shards.values()) guard(shard, { ...listener, onEnd }, timing);
    },
    // A login whose request outlived the client must not dial any more.
    connect: async () => (ended ? undefined : simple.connect()),
    async destroy(options) {
      // The library also does so, without a code, before it spawns any.
      if (options?.code !== undefined) ended = true;
      await simple.destroy({ code: KEEP_SESSION });
    },
    send: (id, payload) => simple.send(id, payload),
    fetchStatus: () => simple.fetchStatus(),
  };
}

function guard(
  shard: LibraryShard,
  listener: Listener,
  { closeMs, readyMs }: Pick<Timing, 'closeMs' | 'readyMs'>,
): void {
  const internalConnect = shard.internalConnect.bind(shard);
  const onMessage = shard.onMessage.bind(shard);
  const destroy = shard.destroy.bind(shard);
  let greeted = false;
  let established = false;
  let ending: Promise<void> | undefined;
  let patience: NodeJS.Timeout | undefined;

  async function end({ code, reason, recover }: DestroyOptions): Promise<void> {
    listener.onEnd({
      ...(code !== undefined && { code }),
      resumable: recover === RESUME || code === BROKEN_OFF,
    });
    clearTimeout(patience);
    // Dialling begins a little after it is asked for.
    if (!shard.connection) await nextTick();
    const { connection } = shard;
    // A handshake that is cut short fails with an error after the library has stopped to listen for one.
    connection?.on('error', () => undefined);
    const closed = destroy({ code: code ?? KEEP_SESSION, reason: reason ?? 'done' });
    if (connection?.readyState === connection?.CONNECTING) connection?.terminate();
    const timer = setTimeout(() => connection?.terminate(), closeMs);
    await closed;
    clearTimeout(timer);
  }

  shard.destroy = (options = {}) => {
    ending ??= end(options);
    return ending;
  };

  shard.internalConnect = async () => {
    try {
      if (!ending) await internalConnect();
    } catch (error) {
      listener.onEnd({ resumable: true, error });
    }
  };

  /** The library waits for READY so long, but for RESUMED without end. */
  function giveUp(): void {
    if (shard.status === RESUMING) void shard.destroy({ reason: 'not resumed', recover: ANEW });
  }

  function beginPatience(): void {
    clearTimeout(patience);
    patience = setTimeout(giveUp, readyMs);
  }

  /** Whether a frame comes when it may: a second greeting, or a session that nobody asked for, is none. */
  function isDue(frame: Frame): boolean {
    if (frame.kind === 'hello') return !greeted;
    if (frame.kind === 'ready') return greeted && !established && shard.status === CONNECTING;
    return frame.kind !== 'resumed' || shard.status === RESUMING;
  }

  async function take(data: unknown): Promise<void> {
    if (ending) return;
    const frame = readFrame(data);
    if (!frame || !isDue(frame)) return listener.onGarbage();
    if (frame.kind === 'event') return listener.onEvent(frame.type, frame.data, frame.sequence);
    if (frame.kind === 'hello') greeted = true;
    if (frame.kind === 'hello' || frame.kind === 'invalidated') beginPatience();
    const passed = onMessage(JSON.stringify(frame.payload), false);
    if (frame.kind === 'ready' || frame.kind === 'resumed') {
      established = true;
      clearTimeout(patience);
      if (frame.kind === 'ready') listener.onReady(frame.session);
      else listener.onResumed();
    }
    await passed;
    // The first heartbeat may have found the connection dead; the library begins to beat all the same.
    if (ending && shard.heartbeatInterval) clearInterval(shard.heartbeatInterval);
  }

  shard.onMessage = (data) =>
    take(data).catch((error: unknown) => listener.onEnd({ resumable: true, error }));
}
