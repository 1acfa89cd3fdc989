import { execFile } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Adapter, AdapterState } from '../src/adapters/adapter.ts';
import { readFrame } from '../src/adapters/discord/frames.ts';
import { convertInteraction, convertMessage, whereabouts } from '../src/adapters/discord/inbound.ts';
import { createRooms } from '../src/adapters/discord/rooms.ts';
import type { Timing } from '../src/adapters/discord/timing.ts';
import { createDiscord } from '../src/adapters/discord.ts';
import { stateInMemory } from '../src/adapters/state.ts';
import { createLog } from '../src/log.ts';
import type { ConversationId, Inbound, Outbound } from '../src/message.ts';
import { describeAdapter } from './contract/adapter.ts';
import { FULL, markdown } from './support/arbitraries.ts';
import { CHANNEL, type DiscordServer, type Fault, GUILD, startDiscord, THREAD } from './support/discord.ts';
import { temporaryFolder } from './support/temp.ts';

const QUICK: Partial<Timing> = {
  requestMs: 3_000,
  helloMs: 2_000,
  readyMs: 2_000,
  closeMs: 100,
  identifyMs: 0,
  firstRetryMs: 5,
  longestRetryMs: 20,
  refusedRetryMs: 20,
};
const PERSON = '100000000000001001';
const OTHER = '100000000000001002';
const BOT = '100000000000000007';
const CHAT = '500000000000001001';

const direct: ConversationId = { channel: 'discord', account: BOT, chat: CHAT };
const guild: ConversationId = { channel: 'discord', account: BOT, chat: CHANNEL, person: PERSON };
const message = (text: string, conversation = direct, more: Partial<Outbound> = {}): Outbound => ({
  conversation,
  idempotencyKey: text,
  text,
  final: true,
  ...more,
});
const never = new AbortController().signal;

describeAdapter('Discord', async () => {
  const server = await startDiscord();
  const state = stateInMemory();
  const adapter = createDiscord({ token: server.token, apiUrl: server.apiUrl, timing: QUICK, state });
  server.say(PERSON, 'what made the chat known', { silently: true });
  const delivered: string[] = [];
  let last: { channelId: string; messageId: string; text: string } | undefined;
  return {
    adapter,
    secret: server.token,
    conversation: direct,
    deliver(text) {
      const { messageId, channelId } = server.say(PERSON, text);
      last = { messageId, channelId, text };
      delivered.push(messageId);
    },
    deliverAgain() {
      if (!last) return;
      server.dispatch('MESSAGE_CREATE', {
        id: last.messageId,
        channel_id: last.channelId,
        channel_type: 1,
        type: 0,
        author: { id: PERSON, username: 'person' },
        content: last.text,
      });
    },
    acknowledged() {
      const { seen } = JSON.parse(state.get(`room:${direct.chat}`) || '{"seen":"0"}');
      return delivered.filter((id) => BigInt(id) <= BigInt(seen)).length;
    },
    visible: () =>
      server.sent
        .filter((one) => !one.deleted)
        .map((one) => ({ messageId: `${one.channelId}:${one.id}`, text: one.content })),
    limitNext: (retryAfterMs) => server.misbehave({ kind: 'flood', retryAfter: retryAfterMs / 1_000 }),
    refuseNext: () => server.block(direct.chat),
    loseNextAnswer: () => server.misbehave({ kind: 'lost' }),
    shutDown: () => server.close(),
    revoke: () => server.revoke(),
    open: () => server.open,
    until: async (probe) => void (await server.waitFor(probe)),
    close: () => server.close(),
  };
});

describe('Discord', () => {
  let server: DiscordServer;
  let state: AdapterState;
  let adapter: Adapter;
  let received: Inbound[];
  let logged: string[];

  beforeEach(async () => {
    server = await startDiscord();
    state = stateInMemory();
    received = [];
    logged = [];
    adapter = create();
  });

  afterEach(async () => {
    await adapter.stop();
    await server.waitFor(() => server.open === 0);
    await server.close();
    expect(logged.join('')).not.toContain(server.token);
    for (const { token } of server.interactions) expect(logged.join('')).not.toContain(token);
    expect(JSON.stringify(adapter.health())).not.toContain(server.token);
    expect(server.pings).toEqual([]);
  });

  function create(timing: Partial<Timing> = {}): Adapter {
    return createDiscord({ token: server.token, apiUrl: server.apiUrl, timing: { ...QUICK, ...timing } });
  }

  const commands = [
    { name: 'help', description: 'What I can do' },
    { name: 'new', description: 'Start afresh' },
    { name: 'Not A Name', description: 'is left out' },
  ];

  async function start(within: AdapterState = state): Promise<void> {
    await adapter.start(async (inbound) => void received.push(inbound), {
      log: createLog({
        level: 'debug',
        secrets: () => [],
        destination: { write: (line) => void logged.push(line) },
      }),
      commands,
      state: within,
    });
  }

  const connected = (): Promise<boolean> => server.waitFor(() => adapter.health().state === 'connected');
  const heard = (text: string): Promise<Inbound> =>
    server.waitFor(() => received.find((inbound) => inbound.text === text), `"${text}" to be received`);

  /** Sends, as often as it is told to wait before. */
  async function sendInTime(outbound: Outbound): Promise<void> {
    for (;;) {
      const error = await adapter.send(outbound, never).then(
        () => undefined,
        (reason: { retryAfterMs?: number }) => reason,
      );
      if (!error) return;
      if (error.retryAfterMs === undefined) throw error;
      await sleep(error.retryAfterMs);
    }
  }

  /** Starts, and waits until the session is there and the server is known. */
  async function begin(): Promise<void> {
    await start();
    await connected();
  }

  describe('receives', () => {
    test('a direct message, with all there is to know of it', async () => {
      await begin();
      const { messageId } = server.say(PERSON, 'Hello', {
        more: { timestamp: '2023-11-14T22:13:20.000000+00:00' },
      });
      expect(await heard('Hello')).toEqual({
        conversation: direct,
        messageId: `${CHAT}:${messageId}`,
        sender: { id: PERSON, name: `Person ${PERSON}` },
        group: false,
        addressed: true,
        text: 'Hello',
        attachments: [],
        sentAt: 1_700_000_000_000,
      });
      expect(adapter.health().identity).toBe('@kimi-test');
      expect(server.intents).toEqual([(1 << 0) | (1 << 9) | (1 << 12) | (1 << 15)]);
    });

    test.each([
      ['hello all', false, 'hello all'],
      [`<@${BOT}> hello`, true, 'hello'],
      [`<@!${BOT}>, hello`, true, 'hello'],
      [`hello <@${BOT}> there`, true, 'hello @kimi-test there'],
      ['<@&200000000000000010> hello', true, 'hello'],
      ['<@&200000000000000011> hello', false, '@staff hello'],
      [`<@${OTHER}> hello`, false, `@Person ${OTHER} hello`],
      ['@everyone hello', false, '@everyone hello'],
      [`<@${BOT}> /new`, true, '/new'],
      [
        `see <#${CHANNEL}> <:ok:300000000000000001> </new:300000000000000002>`,
        false,
        'see #general :ok: /new',
      ],
      ['at <t:1700000000:R>', false, 'at 2023-11-14T22:13:20Z'],
    ])('in a server, %j: addressed %s', async (text, addressed, left) => {
      await begin();
      server.say(PERSON, text, { channel: CHANNEL });
      expect(await heard(left)).toMatchObject({ group: true, addressed });
    });

    test('in a server, a conversation for each person and thread', async () => {
      await begin();
      server.say(PERSON, 'one', { channel: CHANNEL });
      server.say(OTHER, 'two', { channel: THREAD });
      const one = await heard('one');
      expect(one.conversation).toEqual(guild);
      expect(one.inThread).toBeUndefined();
      expect(await heard('two')).toMatchObject({
        conversation: { ...guild, chat: THREAD, thread: THREAD, person: OTHER },
        inThread: true,
        addressed: false,
      });
    });

    test('a thread as one although nothing has told of it', async () => {
      await begin();
      const [id, guildId] = ['200000000000000099', GUILD];
      server.misbehave(
        { kind: 'garbage', body: JSON.stringify({ id, type: 11, name: 'new' }) },
        { match: /channels/ },
      );
      server.dispatch('MESSAGE_CREATE', {
        id: '300000000000000001',
        channel_id: id,
        guild_id: guildId,
        type: 0,
        author: { id: PERSON, username: 'p' },
        content: 'in a new thread',
      });
      expect((await heard('in a new thread')).conversation.thread).toBe(id);
    });

    test('in a server, answers to us', async () => {
      await begin();
      const author = { id: BOT, username: 'kimi-test', bot: true };
      server.say(PERSON, 'to you', { channel: CHANNEL, more: { type: 19, referenced_message: { author } } });
      server.say(PERSON, 'to other', {
        channel: CHANNEL,
        more: { type: 19, referenced_message: { author: { id: OTHER } } },
      });
      server.say(PERSON, 'to nothing', { channel: CHANNEL, more: { type: 19, referenced_message: null } });
      expect((await heard('to you')).addressed).toBe(true);
      expect((await heard('to other')).addressed).toBe(false);
      expect((await heard('to nothing')).addressed).toBe(false);
    });

    test('files, and what was forwarded', async () => {
      await begin();
      const url = server.offer('cat.png', new Uint8Array([1, 2, 3]));
      const attachments = [{ filename: 'cat.png', content_type: 'image/png', size: 3, url }];
      server.say(PERSON, 'look', { more: { attachments } });
      server.say(PERSON, '', {
        more: { message_snapshots: [{ message: { content: 'forwarded', attachments } }] },
      });
      const image = {
        kind: 'image',
        name: 'cat.png',
        mediaType: 'image/png',
        bytes: 3,
        source: { platformId: url },
      };
      expect((await heard('look')).attachments).toEqual([image]);
      expect((await heard('forwarded')).attachments).toEqual([image]);
    });

    test('nothing of bots, webhooks, edits, events about rooms and itself, and goes on', async () => {
      await begin();
      server.say(OTHER, 'I am a bot', { more: { author: { id: OTHER, username: 'b', bot: true } } });
      server.say(OTHER, 'I am a webhook', { more: { webhook_id: '300000000000000001' } });
      server.say(OTHER, 'pinned', { more: { type: 6 } });
      server.say(OTHER, '', { more: { sticker_items: [{ id: '1' }] } });
      server.dispatch('MESSAGE_UPDATE', { id: '300000000000000001', channel_id: CHAT, content: 'edited' });
      server.dispatch('SOMETHING_NEW', { deep: [1] });
      server.say(PERSON, 'after all that');
      await adapter.send(message('my own'), never);
      await heard('after all that');
      expect(received).toHaveLength(1);
    });

    test('in order, each room by itself', async () => {
      await begin();
      for (let i = 0; i < 30; i++) server.say(i % 2 ? PERSON : OTHER, `m${i}`);
      await heard('m29');
      await heard('m28');
      for (const person of [PERSON, OTHER]) {
        const own = received
          .filter((inbound) => inbound.sender.id === person)
          .map(({ text }) => Number(text.slice(1)));
        expect(own).toEqual(own.toSorted((a, b) => a - b));
        expect(own).toHaveLength(15);
      }
    });
  });

  describe('stays alive', () => {
    const garbage = [
      '',
      'no json',
      'null',
      '7',
      '[]',
      '{"op":9}',
      '{"op":9,"d":null}',
      '{"op":10}',
      '{"op":10,"d":null}',
      '{"op":10,"d":{"heartbeat_interval":1}}',
      '{"op":10,"d":{"heartbeat_interval":100000}}',
      '{"op":0}',
      '{"op":0,"t":"READY","s":1,"d":null}',
      '{"op":0,"t":"READY","s":1,"d":{}}',
      '{"op":0,"t":"READY","s":1,"d":{"session_id":"x","user":{"id":"1","username":"x"},"application":{"id":"1"}}}',
      '{"op":0,"t":"RESUMED","s":1}',
      '{"op":0,"t":"MESSAGE_CREATE","s":1,"d":null}',
      '{"op":0,"t":"MESSAGE_CREATE","s":1,"d":{}}',
      '{"op":0,"t":"MESSAGE_CREATE","s":1,"d":{"channel_id":"1","author":null}}',
      '{"op":0,"t":"INTERACTION_CREATE","s":1,"d":{"channel_id":"1"}}',
      '{"op":0,"t":"GUILD_CREATE","s":1,"d":{"channels":[null,1,{}],"roles":"x"}}',
      '{"op":0,"t":"GUILD_CREATE","s":1,"d":null}',
      '{"op":99,"d":{}}',
      new Uint8Array([1, 2, 3]),
    ];

    test.each(garbage)('after the frame %s', async (frame) => {
      await begin();
      server.say(PERSON, 'before');
      server.inject(frame);
      server.say(PERSON, 'behind');
      await heard('behind');
      expect(received.map(({ text }) => text)).toEqual(['before', 'behind']);
      expect(server.counts.identified).toBe(1);
    });

    test.each([1_000, 1_001, 1_006, 4_000, 4_001, 4_003, 4_005, 4_007, 4_008, 4_009, 4_999])(
      'after a close with %i, and misses nothing',
      async (code) => {
        await begin();
        server.say(PERSON, 'before');
        await heard('before');
        server.disconnect(code);
        server.say(PERSON, 'meanwhile');
        await heard('meanwhile');
        server.say(PERSON, 'after');
        await heard('after');
        await connected();
        expect(received.map(({ text }) => text).filter((text, i, all) => all.indexOf(text) === i)).toEqual([
          'before',
          'meanwhile',
          'after',
        ]);
        const resumes = ![1_000, 4_003, 4_005, 4_007, 4_008, 4_009].includes(code);
        expect(server.counts.resumed).toBe(resumes ? 1 : 0);
        expect(adapter.health().lastError).toBeUndefined();
      },
    );

    test.each([
      ['to reconnect', { op: 7, d: null }, 1],
      ['that the session is invalid, but can be resumed', { op: 9, d: true }, 1],
      ['that the session is invalid', { op: 9, d: false }, 0],
    ])('when told %s', async (_, frame, resumed) => {
      await begin();
      server.say(PERSON, 'before');
      await heard('before');
      server.inject(frame);
      await server.waitFor(() => server.counts.resumed + server.counts.identified === 2);
      server.say(PERSON, 'after');
      await heard('after');
      expect(server.counts.resumed).toBe(resumed);
    });

    test.each(['refused', 'hanging', 'noHello', 'noReady', { close: 4_000 }, { invalid: false }] as const)(
      'when connecting is met with %j',
      async (plan) => {
        adapter = create({ helloMs: 100, readyMs: 100 });
        server.meet(plan, plan);
        await begin();
        server.say(PERSON, 'and yet');
        await heard('and yet');
        server.meet(plan, plan);
        server.disconnect(1_006);
        server.say(PERSON, 'and again');
        await heard('and again');
      },
    );

    const faults: Fault[] = [
      { kind: 'gateway' },
      { kind: 'cut' },
      { kind: 'stall' },
      { kind: 'lost' },
      { kind: 'silence' },
      { kind: 'garbage', body: 'no json' },
      { kind: 'garbage', body: 'null' },
      { kind: 'garbage', body: '{}' },
      {
        kind: 'garbage',
        body: '{"url":"no url","shards":1,"session_start_limit":{"remaining":9,"max_concurrency":1}}',
      },
      {
        kind: 'garbage',
        body: '{"url":"ws://127.0.0.1:1","shards":1,"session_start_limit":{"remaining":9}}',
      },
      {
        kind: 'garbage',
        body: '{"url":"ws://x","shards":1,"session_start_limit":{"remaining":0,"reset_after":1}}',
      },
      { kind: 'error', status: 500, code: 0, message: 'Internal Server Error' },
      { kind: 'error', status: 400, code: 50_035, message: 'whatever' },
      { kind: 'error', status: 401, code: 0, message: '401: Unauthorized' },
      { kind: 'flood', retryAfter: 0.01 },
      { kind: 'flood', retryAfter: 0.01, global: true },
    ];

    test.each(faults)('logging in, after %j', async (fault) => {
      adapter = create({ requestMs: 100 });
      server.misbehave(fault, { match: /gateway/, times: 3 });
      await begin();
      expect(adapter.health().lastError).toBeUndefined();
      server.say(PERSON, 'and yet');
      await heard('and yet');
    });

    test('finds a connection dead that acknowledges no heartbeat', async () => {
      await adapter.stop();
      await server.close();
      server = await startDiscord({ heartbeatMs: 60 });
      adapter = create();
      await begin();
      await server.waitFor(() => server.counts.heartbeats >= 2);
      server.acknowledgeHeartbeats(false);
      await server.waitFor(() => server.counts.resumed >= 1);
      server.acknowledgeHeartbeats(true);
      server.say(PERSON, 'alive');
      await heard('alive');
    });

    test('a token that is refused while it runs is said, and works again without a restart', async () => {
      await begin();
      server.revoke();
      await server.waitFor(() => adapter.health().state === 'refused');
      expect(adapter.health().lastError).toContain('channels.discord.token');
      server.admit();
      await connected();
      server.say(PERSON, 'back');
      await heard('back');
    });

    test('intents that are refused are said, with what to switch on', async () => {
      server.meet({ close: 4_014 });
      adapter = create({ refusedRetryMs: 500 });
      await start();
      await server.waitFor(() => adapter.health().state === 'refused');
      expect(adapter.health().lastError).toContain('Message Content Intent');
      await connected();
    });

    test.each([
      ['is logging in', () => server.misbehave({ kind: 'silence' }), () => server.calls.length === 1],
      ['is dialling', () => server.meet('hanging'), () => server.connections === 1],
      ['waits to be greeted', () => server.meet('noHello'), () => server.connections === 1],
      ['waits for its session', () => server.meet('noReady'), () => server.counts.identified === 1],
      [
        'waits before it tries again',
        () => server.meet({ close: 4_004 }),
        () => adapter.health().state === 'refused',
      ],
    ])('stops while it %s', async (_, prepare, reached) => {
      adapter = create({ requestMs: 60_000, helloMs: 60_000, readyMs: 60_000, refusedRetryMs: 60_000 });
      prepare();
      await start();
      await server.waitFor(reached);
      await adapter.stop();
      expect(adapter.health().state).toBe('stopped');
      await server.waitFor(() => server.open === 0);
      expect(server.counts.identified).toBeLessThanOrEqual(1);
    });

    test('stops while it waits for its turn to identify', async () => {
      adapter = create({ identifyMs: 60_000 });
      await begin();
      server.disconnect(1_000);
      await server.waitFor(() => server.connections === 1);
      await adapter.stop();
      await server.waitFor(() => server.open === 0);
      expect(server.counts.identified).toBe(1);
    });

    test('the process ends by itself once it is stopped', async () => {
      const script = fileURLToPath(new URL('./support/discord/start-stop.ts', import.meta.url));
      const { stdout } = await promisify(execFile)(
        process.execPath,
        ['--import', 'tsx', script, server.apiUrl, server.token],
        { timeout: 60_000 },
      );
      expect(stdout.trim()).toBe('stopped');
    });
  });

  describe('catches up', () => {
    test('in order, and before what comes now, when its session is lost', async () => {
      await begin();
      server.say(PERSON, 'm0');
      await heard('m0');
      server.forgetSessions();
      for (let i = 1; i <= 250; i++) server.say(PERSON, `m${i}`);
      server.disconnect(4_000);
      await server.waitFor(() => server.counts.identified === 2);
      server.say(PERSON, 'm251');
      await heard('m251');
      const texts = received.map(({ text }) => text);
      expect(texts.filter((text, i) => texts.indexOf(text) === i)).toEqual(
        Array.from({ length: 252 }, (_, i) => `m${i}`),
      );
      const ids = new Map(received.map(({ text, messageId }) => [messageId, text]));
      expect(ids.size).toBe(252);
    });

    test('after a restart: by the session, even with first words in an unknown room', async () => {
      await begin();
      server.say(PERSON, 'hello');
      await heard('hello');
      await adapter.stop();
      server.say(OTHER, 'first words');
      server.say(PERSON, 'meanwhile');
      adapter = create();
      await begin();
      await heard('first words');
      await heard('meanwhile');
      expect(server.counts).toMatchObject({ identified: 1, resumed: 1 });
      expect(adapter.health().identity).toBe('@kimi-test');
    });

    test('after a restart: by the rooms, when the session is over', async () => {
      await begin();
      server.say(PERSON, 'hello');
      server.say(PERSON, `<@${BOT}> hi`, { channel: THREAD });
      await heard('hello');
      await heard('hi');
      await adapter.stop();
      server.forgetSessions();
      server.say(PERSON, 'meanwhile');
      server.say(PERSON, 'in the thread', { channel: THREAD });
      adapter = create();
      await begin();
      await heard('meanwhile');
      expect((await heard('in the thread')).conversation).toEqual({
        ...guild,
        chat: THREAD,
        thread: THREAD,
      });
      expect(server.counts).toMatchObject({ identified: 2, resumed: 0 });
    });

    test('after a kill at any instant: from what was last written down', async () => {
      await begin();
      const before = copyOf(state);
      for (let i = 0; i < 20; i++) server.say(PERSON, `m${i}`);
      await heard('m19');
      const stale = [before, copyOf(state)];
      await adapter.stop();
      server.forgetSessions();
      server.say(PERSON, 'afterwards');
      for (const left of stale) {
        adapter = create();
        const known = left.entries('room:').length > 0;
        received = [];
        await start(left);
        await connected();
        if (known) await heard('afterwards');
        await adapter.stop();
        expect(new Set(received.map(({ messageId }) => messageId)).size).toBe(received.length);
      }
    });

    test('again, when what was received could not be written down', async () => {
      let broken = false;
      await adapter.start(
        async (inbound) => {
          if (broken) throw new Error('disk full');
          received.push(inbound);
        },
        { log: createLog({ level: 'silent', secrets: () => [] }), commands, state },
      );
      await connected();
      server.say(PERSON, 'one');
      await heard('one');
      broken = true;
      server.say(PERSON, 'two');
      await server.waitFor(() => adapter.health().lastError?.includes('could not be stored'));
      await adapter.stop();
      broken = false;
      adapter = create();
      await begin();
      await heard('two');
      expect(server.counts.resumed).toBe(1);
    });

    test('not in rooms where nobody spoke to us', async () => {
      await begin();
      server.say(PERSON, 'among ourselves', { channel: CHANNEL });
      await heard('among ourselves');
      server.disconnect(1_000);
      await server.waitFor(() => server.counts.identified === 2);
      await connected();
      server.say(PERSON, 'now');
      await heard('now');
      expect(server.calls.filter(({ path }) => path === `/channels/${CHANNEL}/messages`)).toEqual([]);
    });

    test('although a room is closed to us, which it then leaves alone', async () => {
      await begin();
      server.say(PERSON, 'hello');
      server.say(PERSON, `<@${BOT}> hi`, { channel: CHANNEL });
      await heard('hello');
      await heard('hi');
      server.block(CHANNEL);
      server.forgetSessions();
      server.say(PERSON, 'meanwhile');
      server.disconnect(4_000);
      await heard('meanwhile');
      await server.waitFor(() => state.get(`room:${CHANNEL}`) === '');
    });

    test.each([
      { kind: 'error', status: 500, code: 0, message: 'no' },
      { kind: 'flood', retryAfter: 0.05 },
      { kind: 'cut' },
      { kind: 'garbage', body: '{}' },
      { kind: 'garbage', body: '[null]' },
    ] as Fault[])('although it is met with %j at first', async (fault) => {
      await begin();
      server.say(PERSON, 'hello');
      await heard('hello');
      server.forgetSessions();
      server.say(PERSON, 'meanwhile');
      server.misbehave(fault, { match: /^GET \/channels/, times: 2 });
      server.disconnect(4_000);
      await heard('meanwhile');
    });

    test('later, where it could not at first, without keeping the room waiting', async () => {
      await begin();
      server.say(PERSON, 'hello');
      await heard('hello');
      server.forgetSessions();
      server.say(PERSON, 'meanwhile');
      server.misbehave(
        { kind: 'error', status: 500, code: 0, message: 'no' },
        { match: /^GET \/channels/, times: 10 },
      );
      server.disconnect(4_000);
      await server.waitFor(() => server.counts.identified === 2);
      server.say(PERSON, 'now');
      await heard('now');
      server.behave();
      server.say(PERSON, 'later');
      await heard('later');
      expect(received.map(({ text }) => text)).toContain('meanwhile');
    });
  });

  describe('registers commands', () => {
    test('when they are new, and not again', async () => {
      await begin();
      await server.waitFor(() => server.commands.length === 2);
      expect(server.commands[0]).toMatchObject({
        name: 'help',
        description: 'What I can do',
        options: [{ type: 3, name: 'text' }],
      });
      server.disconnect(1_000);
      const reads = () =>
        server.calls.filter(({ method, path }) => method === 'GET' && path.endsWith('/commands'));
      await server.waitFor(() => reads().length === 2);
      await connected();
      server.say(PERSON, 'on');
      await heard('on');
      expect(server.calls.filter(({ method }) => method === 'PUT')).toHaveLength(1);
    });

    test('or does without', async () => {
      server.misbehave({ kind: 'error', status: 400, code: 50_035, message: 'no' }, { match: /^PUT/ });
      await begin();
      server.say(PERSON, 'works');
      await heard('works');
    });
  });

  describe('takes commands', () => {
    test('acknowledges one when it is on disk, and answers in its place', async () => {
      let onDisk = (): void => undefined;
      await adapter.start(
        async (inbound) => {
          received.push(inbound);
          await new Promise<void>((resolve) => {
            onDisk = resolve;
          });
        },
        { log: createLog({ level: 'silent', secrets: () => [] }), commands, state },
      );
      await connected();
      const interaction = server.command(PERSON, 'model', 'big one');
      const inbound = await heard('/model big one');
      expect(inbound).toMatchObject({
        conversation: direct,
        messageId: `interaction:${interaction.id}`,
        addressed: true,
        group: false,
      });
      expect(interaction.acknowledged).toBeUndefined();
      onDisk();
      await server.waitFor(() => interaction.acknowledged === 5);

      const replyTo = inbound.messageId;
      const first = await adapter.send(message('Working', direct, { replyTo, idempotencyKey: 'a' }), never);
      await adapter.send(message('Working', direct, { replyTo, idempotencyKey: 'a' }), never);
      expect(interaction.original?.content).toBe('Working');
      await adapter.edit?.(first.messageId, message('Done'), never);
      expect(interaction.original?.content).toBe('Done');
      await adapter.send(message('More', direct, { replyTo, idempotencyKey: 'b' }), never);
      expect(interaction.followUps.map(({ content }) => content)).toEqual(['More']);
      expect(server.sent).toHaveLength(2);
    });

    test('answers in its place after a restart too, and once', async () => {
      await begin();
      const interaction = server.command(PERSON, 'status', undefined, THREAD);
      const inbound = await heard('/status');
      expect(inbound).toMatchObject({ group: true, inThread: true, conversation: { thread: THREAD } });
      await server.waitFor(() => interaction.acknowledged === 5);
      const reply = message('Fine', inbound.conversation, { replyTo: inbound.messageId });
      await adapter.send(reply, never);
      await adapter.stop();
      adapter = create();
      await begin();
      await adapter.send(reply, never);
      expect(server.sent).toHaveLength(1);
      expect(interaction.original?.versions).toHaveLength(2);
    });

    test('answers in the room when its time is over', async () => {
      await begin();
      const interaction = server.command(PERSON, 'help');
      const { messageId: replyTo } = await heard('/help');
      server.expire(interaction);
      const { messageId } = await adapter.send(message('Late', direct, { replyTo }), never);
      expect(interaction.original).toBeUndefined();
      expect(server.sent.map(({ content, channelId }) => [content, channelId])).toEqual([['Late', CHAT]]);
      await adapter.edit?.(messageId, message('Later'), never);
      expect(server.sent[0]?.content).toBe('Later');
    });

    test('does not wait for what a room has yet to catch up with', async () => {
      await begin();
      server.say(PERSON, 'hello');
      await heard('hello');
      server.misbehave({ kind: 'silence' }, { match: /^GET \/channels/ });
      server.disconnect(1_000);
      await server.waitFor(() => server.counts.identified === 2);
      server.command(PERSON, 'stop');
      await heard('/stop');
      server.behave();
    });

    test('takes a button that was pressed as the choice that it is', async () => {
      await begin();
      server.say(PERSON, 'ask me');
      await heard('ask me');
      const ask = {
        id: 'turn:1/ä.0',
        options: Array.from({ length: 7 }, (_, i) => ({ id: `o:${i}`, label: `Option ${i}` })),
      };
      const { messageId } = await adapter.send(message('Which?', direct, { ask }), never);
      const [shown] = server.sent;
      expect(shown?.buttons.map((row) => row.length)).toEqual([5, 2]);
      const interaction = server.press(PERSON, shown?.buttons[1]?.[0] ?? '');
      const pressed = await server.waitFor(() => received.find(({ choice }) => choice));
      expect(pressed).toMatchObject({ choice: { ask: 'turn:1/ä.0', option: 'o:5' }, conversation: direct });
      await server.waitFor(() => interaction.acknowledged === 6);
      await adapter.send(message('Thanks', direct, { replyTo: pressed.messageId }), never);
      expect(server.sent[1]).toMatchObject({ content: 'Thanks', replyTo: undefined });
      await adapter.edit?.(messageId, message('Which?'), never);
      expect(shown?.buttons).toEqual([]);
      server.press(PERSON, 'of-another-program');
      server.say(PERSON, 'on');
      await heard('on');
    });
  });

  describe('writes', () => {
    const folder = temporaryFolder();

    beforeEach(() => {
      server.say(PERSON, 'hello', { silently: true });
    });

    test('Markdown, without previews and without reaching anybody', async () => {
      await adapter.send(
        message('**2 < 3** @everyone <@100000000000001002> <@&1> https://example.org'),
        never,
      );
      const [sent] = server.sent;
      expect(sent?.content).toBe(
        '**2 < 3** @\u200beveryone <\u200b@100000000000001002> <\u200b@&1> https://example.org',
      );
      expect(sent?.versions[0]?.body).toMatchObject({
        flags: 4,
        allowed_mentions: { parse: [], replied_user: false },
      });
    });

    test('once, however often it is told to', async () => {
      server.misbehave({ kind: 'lost' });
      await adapter.send(message('once'), never).catch(() => undefined);
      const again = await adapter.send(message('once'), never);
      expect(server.sent).toHaveLength(1);
      expect(again.messageId).toBe(`${CHAT}:${server.sent[0]?.id}`);
      const other = await adapter.send(message('once', direct, { idempotencyKey: 'x'.repeat(200) }), never);
      expect(other.messageId).not.toBe(again.messageId);
    });

    test('as an answer in servers only', async () => {
      const { messageId } = server.say(PERSON, 'question', { channel: CHANNEL, silently: true });
      await adapter.send(message('to you', guild, { replyTo: `${CHANNEL}:${messageId}` }), never);
      await adapter.send(message('gone', guild, { replyTo: `${CHANNEL}:300000000000000001` }), never);
      await adapter.send(message('elsewhere', guild, { replyTo: `${CHAT}:${messageId}` }), never);
      await adapter.send(message('direct', direct, { replyTo: `${CHAT}:${messageId}` }), never);
      expect(server.sent.map(({ replyTo }) => replyTo)).toEqual([messageId, undefined, undefined, undefined]);
    });

    test('files with their captions', async () => {
      const path = join(folder, 'plot.png');
      writeFileSync(path, 'not really');
      const file = {
        kind: 'image',
        name: 'plot.png',
        mediaType: 'image/png',
        bytes: 10,
        source: { path },
      } as const;
      await adapter.send(message('A plot', direct, { file }), never);
      await adapter.send(message('', direct, { file, idempotencyKey: 'no caption' }), never);
      expect(server.sent.map(({ content, files }) => [content, files])).toEqual([
        ['A plot', [{ name: 'plot.png', type: 'image/png', bytes: 10 }]],
        ['', [{ name: 'plot.png', type: 'image/png', bytes: 10 }]],
      ]);
      writeFileSync(path, 'x'.repeat(11 * 1_024 * 1_024));
      await expect(adapter.send(message('big', direct, { file }), never)).rejects.toMatchObject({
        code: 'refused',
        message: expect.stringContaining('too big'),
      });
      const gone = { ...file, source: { path: `${path}.gone` } };
      await expect(adapter.send(message('gone', direct, { file: gone }), never)).rejects.toMatchObject({
        code: 'refused',
      });
      expect(readFileSync(path).length).toBeGreaterThan(0);
    });

    test('a sign on a message, and takes it back', async () => {
      const { messageId } = server.say(PERSON, 'long work', { silently: true });
      await adapter.react?.(direct, `${CHAT}:${messageId}`, true);
      expect(server.reactions(CHAT, messageId)).toEqual(['👀']);
      server.misbehave({ kind: 'flood', retryAfter: 0.05 });
      await adapter.react?.(direct, `${CHAT}:${messageId}`, false);
      expect(server.reactions(CHAT, messageId)).toEqual([]);
      await adapter.react?.(direct, 'interaction:1', true);
      await adapter.react?.(direct, `${CHAT}:300000000000000001`, true);
    });

    test('that it is writing, which keeps no message waiting', async () => {
      server.misbehave({ kind: 'silence' }, { match: /typing/ });
      const typing = adapter.typing?.(direct);
      await adapter.send(message('first'), never);
      expect(server.sent).toHaveLength(1);
      server.behave();
      await typing;
    });

    test.each([
      [403, 50_001, 'refused', 'View Channel'],
      [403, 50_013, 'refused', 'Send Messages'],
      [403, 50_007, 'refused', 'direct messages'],
      [404, 10_003, 'refused', 'channel is gone'],
      [400, 50_035, 'refused', 'Invalid Form Body'],
      [401, 0, 'unauthorized', 'channels.discord.token'],
      [500, 0, 'network', 'tried again'],
    ])('or says why it cannot: %i, %i', async (status, code, ours, words) => {
      server.misbehave({ kind: 'error', status, code, message: 'Invalid Form Body' });
      await expect(adapter.send(message('x'), never)).rejects.toMatchObject({
        code: ours,
        message: expect.stringContaining(words),
      });
      // One refusal does not spoil the next call.
      await adapter.send(message('x'), never);
      expect(server.sent).toHaveLength(1);
    });

    test.each([
      { kind: 'stall' },
      { kind: 'silence' },
      { kind: 'cut' },
      { kind: 'garbage', body: 'no json' },
      { kind: 'garbage', body: '{}' },
      { kind: 'gateway' },
    ] as Fault[])('or says that it cannot know, after %j', async (fault) => {
      adapter = create({ requestMs: 200 });
      server.misbehave(fault);
      await expect(adapter.send(message('x'), never)).rejects.toMatchObject({
        code: 'network',
        outcomeUnknown: true,
      });
      await adapter.send(message('x'), never);
    });

    test('edits of a message that is gone are refused, and its removal is done', async () => {
      const { messageId } = await adapter.send(message('x'), never);
      await adapter.remove?.(direct, messageId, never);
      await expect(adapter.edit?.(messageId, message('y'), never)).rejects.toMatchObject({ code: 'refused' });
      await expect(adapter.edit?.('nonsense', message('y'), never)).rejects.toMatchObject({
        code: 'refused',
      });
    });

    test('never before it may', async () => {
      await server.close();
      server = await startDiscord({ enforceRates: true });
      adapter = create();
      server.say(PERSON, 'hello', { silently: true });
      server.say(OTHER, 'hello', { silently: true });
      for (let i = 0; i < 5; i++) await adapter.send(message(`m${i}`), never);
      const refusal = await adapter.send(message('m5'), never).catch((error: unknown) => error);
      expect(refusal).toMatchObject({ code: 'rate_limited' });
      expect((refusal as { retryAfterMs: number }).retryAfterMs).toBeGreaterThan(0);
      expect(server.premature).toEqual([]);
      // Another room is not kept waiting.
      await adapter.send(message('other', { ...direct, chat: server.chatOf(OTHER) }), never);
      expect(server.sent).toHaveLength(6);
    });

    test('any text: taken whole, reaching nobody, with every fence closed', async () => {
      await fc.assert(
        fc.asyncProperty(markdown, fc.string({ unit: 'grapheme' }), async (text, key) => {
          for (const [i, piece] of adapter.split(text).entries()) {
            await sendInTime(message(piece, direct, { idempotencyKey: `${key}${i}${text}` }));
            const { content } = server.sent.at(-1) ?? { content: '' };
            expect((content.match(/^```/gm)?.length ?? 0) % 2).toBe(0);
          }
        }),
        { numRuns: FULL ? 3_000 : 60 },
      );
    });
  });

  describe('fetches files', () => {
    const file = (url: string) =>
      ({
        kind: 'document',
        name: 'notes.md',
        mediaType: 'text/markdown',
        bytes: 3,
        source: { platformId: url },
      }) as const;

    test('without showing its token', async () => {
      const bytes: number[] = [];
      const source = await adapter.download?.(
        file(server.offer('notes.md', new Uint8Array([1, 2, 3]))),
        never,
      );
      for await (const part of source ?? []) bytes.push(...part);
      expect(bytes).toEqual([1, 2, 3]);
      expect(server.calls.at(-1)).toMatchObject({ path: '/files/notes.md', authorization: undefined });
    });

    test('from Discord alone, and says when one is gone', async () => {
      for (const url of ['http://127.0.0.1:1/x', 'https://example.org/x', 'file:///etc/passwd', 'no url']) {
        await expect(adapter.download?.(file(url), never)).rejects.toMatchObject({ code: 'refused' });
      }
      const url = server.offer('notes.md', new Uint8Array([1]));
      server.withdraw('notes.md');
      await expect(adapter.download?.(file(url), never)).rejects.toMatchObject({
        code: 'refused',
        message: expect.stringContaining('Send it again'),
      });
    });
  });

  test('a storm of reconnects while messages arrive: none lost, nothing left over', async () => {
    await begin();
    server.say(PERSON, 'first');
    await heard('first');
    const before = activeResources();
    const rounds = FULL ? 100 : 12;
    const codes = [1_000, 1_001, 1_006, 4_000, 4_009];
    for (let round = 0; round < rounds; round++) {
      const { identified, resumed } = server.counts;
      for (let i = 0; i < 3; i++) server.say(PERSON, `r${round}.${i}`);
      if (round % 4 === 3) server.inject({ op: 7, d: null });
      else server.disconnect(codes[round % codes.length] ?? 1_000);
      server.say(PERSON, `r${round}.3`);
      await server.waitFor(() => server.counts.identified + server.counts.resumed > identified + resumed);
    }
    server.say(PERSON, 'last');
    await heard('last');
    const texts = new Map(received.map(({ messageId, text }) => [messageId, text]));
    expect([...texts.values()]).toEqual([
      'first',
      ...Array.from({ length: rounds }, (_, round) => [0, 1, 2, 3].map((i) => `r${round}.${i}`)).flat(),
      'last',
    ]);
    // Kept connections of the HTTP client are closed by and by.
    await server.waitFor(() => server.connections === 1 && isAtMost(activeResources(), before));
  });

  describe('any frame whatever', () => {
    const me = { id: BOT, username: 'kimi', applicationId: '100000000000000008' };
    const mostly = <T>(usual: fc.Arbitrary<T>) =>
      fc.oneof({ weight: 9, arbitrary: usual }, { weight: 1, arbitrary: fc.jsonValue() });
    const id = mostly(fc.constantFrom(BOT, PERSON, CHAT, CHANNEL));
    const user = mostly(
      fc.record({ id, username: fc.string(), bot: fc.boolean() }, { requiredKeys: ['id', 'username'] }),
    );
    const data = fc.record(
      {
        id,
        channel_id: id,
        guild_id: id,
        channel_type: mostly(fc.nat({ max: 20 })),
        type: mostly(fc.constantFrom(0, 2, 3, 19)),
        token: mostly(fc.string({ minLength: 1 })),
        author: user,
        user,
        member: mostly(fc.record({ user, nick: fc.jsonValue() })),
        content: mostly(
          fc.oneof(
            fc.string({ unit: 'binary' }),
            fc.constantFrom(`<@${BOT}> x`, '<t:99999999999999:R>', '</x:1>'),
          ),
        ),
        timestamp: mostly(fc.string()),
        mentions: mostly(fc.array(user)),
        mention_roles: mostly(fc.array(id)),
        attachments: mostly(fc.array(fc.record({ url: fc.webUrl(), filename: fc.string() }))),
        referenced_message: mostly(fc.record({ author: user })),
        message_snapshots: fc.jsonValue(),
        data: mostly(
          fc.record({
            name: fc.string(),
            custom_id: fc.oneof(fc.string(), fc.constantFrom('ask:a:b', 'ask:%:b')),
            options: fc.jsonValue(),
          }),
        ),
        channels: fc.jsonValue(),
      },
      { requiredKeys: ['id', 'channel_id', 'type', 'author'] },
    );
    const frame = mostly(
      fc.record(
        {
          op: mostly(fc.constantFrom(0, 0, 0, 1, 7, 9, 10, 11)),
          t: mostly(
            fc.constantFrom('READY', 'RESUMED', 'MESSAGE_CREATE', 'INTERACTION_CREATE', 'GUILD_CREATE'),
          ),
          s: mostly(fc.nat()),
          d: mostly(data),
        },
        { requiredKeys: ['op'] },
      ),
    );

    test('is read without failing', async () => {
      const rooms = createRooms({ call: async () => ({}), close: () => undefined });
      let messages = 0;
      let events = 0;
      fc.assert(
        fc.property(frame, (value) => {
          const read = readFrame(JSON.stringify(value));
          if (read?.kind !== 'event') return;
          events++;
          rooms.learn(read.type, read.data, me);
          const where = whereabouts(read.data);
          if (!where) return;
          const place = { id: where.id, group: where.group, thread: false };
          for (const convert of [
            () => convertMessage(read.data, me, place, rooms, 'discord'),
            () => convertInteraction(read.data, me, place, 'discord'),
          ]) {
            const converted = convert();
            if ('ignored' in converted) continue;
            messages++;
            expect(converted.inbound.messageId).toMatch(/^(\d+|interaction):\d+$/);
            expect(Number.isFinite(converted.inbound.sentAt)).toBe(true);
          }
        }),
        { numRuns: FULL ? 300_000 : 5_000 },
      );
      expect(events).toBeGreaterThan(0);
      expect(messages).toBeGreaterThan(0);
    });

    test('goes through the real client, and so does the message after it', async () => {
      await begin();
      let n = 0;
      // Told to reconnect, it does: those are tests of their own.
      const harmless = fc
        .array(frame, { maxLength: 20 })
        .map((frames) => frames.filter((one) => !isOrder(one)));
      await fc.assert(
        fc.asyncProperty(harmless, async (frames) => {
          for (const one of frames) server.inject(one);
          const text = `still here ${n++}`;
          server.say(PERSON, text);
          await heard(text);
        }),
        { numRuns: FULL ? 3_000 : 40 },
      );
      expect(server.counts.identified).toBe(1);
    });
  });
});

function copyOf(state: AdapterState): AdapterState {
  const copy = stateInMemory();
  for (const [key, value] of state.entries('')) copy.set(key, value);
  return copy;
}

function isOrder(frame: unknown): boolean {
  const { op, d } = (frame ?? {}) as { op?: unknown; d?: unknown };
  return op === 7 || (op === 9 && typeof d === 'boolean');
}

/** What keeps this process alive, by kind. */
function activeResources(): Map<string, number> {
  const counts = new Map<string, number>();
  for (const name of process.getActiveResourcesInfo()) counts.set(name, (counts.get(name) ?? 0) + 1);
  return counts;
}

function isAtMost(now: Map<string, number>, before: Map<string, number>): boolean {
  return [...now].every(([name, count]) => count <= (before.get(name) ?? 0) + (name === 'Timeout' ? 2 : 0));
}
