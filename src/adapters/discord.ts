/** Discord, by discord.js: its gateway for what comes in, its REST client for what goes out. */
import type { Adapter, AdapterState } from './adapter.ts';
import { chunk } from './chunk.ts';
import { connectApi } from './discord/api.ts';
import { registerCommands } from './discord/commands.ts';
import { download, FILE_LIMITS } from './discord/files.ts';
import { keepConnected } from './discord/gateway.ts';
import { createInteractions } from './discord/interactions.ts';
import { createKnownRooms } from './discord/known.ts';
import { createReceiver } from './discord/receiver.ts';
import { createRooms } from './discord/rooms.ts';
import { createSender, PIECE_LIMIT } from './discord/sender.ts';
import { createSession } from './discord/session.ts';
import { TIMING, type Timing } from './discord/timing.ts';
import { createHealth } from './health.ts';
import { stateInMemory } from './state.ts';

export interface DiscordOptions {
  /** The bot's, from https://discord.com/developers/applications */
  token: string;
  /** `https://discord.com/api`, without a version. */
  apiUrl: string;
  /** The channel's name, where it is not `discord`. */
  name?: string;
  timing?: Partial<Timing>;
  /** Where {@link AdapterContext} brings none. Default: memory. */
  state?: AdapterState;
}

export function createDiscord({ token, apiUrl, name = 'discord', ...options }: DiscordOptions): Adapter {
  const timing: Timing = { ...TIMING, ...options.timing };
  const ownState = options.state ?? stateInMemory();
  const api = connectApi({ token, apiUrl, timing });
  const health = createHealth();
  let interactions = createInteractions(ownState);
  const sender = createSender({ api, interactions: () => interactions });
  let running: { stop: AbortController; done: Promise<void> } | undefined;

  return {
    name,
    // Five in five seconds in a room, fifty a second in all: https://discord.com/developers/docs/topics/rate-limits
    rates: { chatIntervalMs: 1_000, perSecond: 45 },
    editIntervalMs: 1_200,
    fileLimits: FILE_LIMITS,
    async start(receive, context) {
      if (running) return;
      health.set('starting');
      const stop = new AbortController();
      const { signal } = stop;
      const state = context.state ?? ownState;
      const { log } = context;
      interactions = createInteractions(state);
      const rooms = createRooms(api);
      const known = createKnownRooms(state);
      const session = createSession(state);
      const shared = { api, channel: name, health, log, timing, signal };
      const receiver = createReceiver({ ...shared, receive, rooms, known, interactions });
      const connection = keepConnected({
        ...shared,
        token,
        apiUrl,
        session,
        onBegun({ me }) {
          receiver.catchUp(me);
          void registerCommands({ api, applicationId: me.applicationId, context, channel: name, signal });
        },
        onEvent: receiver.event,
      });
      const finish = async (): Promise<void> => {
        await connection;
        await receiver.idle();
        session.store();
        api.close();
      };
      running = { stop, done: finish() };
    },
    split: (text) =>
      chunk(text, PIECE_LIMIT)
        .map((piece) => piece.text)
        .filter((piece) => piece !== ''),
    send: sender.send,
    edit: sender.edit,
    remove: (_conversation, messageId, signal) => sender.remove(messageId, signal),
    download: (attachment, signal) => download(attachment, apiUrl, signal),
    react: (_conversation, messageId, shown) => sender.react(messageId, shown),
    typing: sender.typing,
    health: health.read,
    async stop() {
      running?.stop.abort();
      await running?.done;
      running = undefined;
      health.set('stopped');
    },
  };
}
