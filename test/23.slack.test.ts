import { execFile } from 'node:child_process';
import { readdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Adapter, Receive } from '../src/adapters/adapter.ts';
import { convert } from '../src/adapters/slack/inbound.ts';
import type { Timing } from '../src/adapters/slack/timing.ts';
import { createSlack } from '../src/adapters/slack.ts';
import { KimiError } from '../src/errors.ts';
import { createLog } from '../src/log.ts';
import type { Attachment, ConversationId, Inbound, Outbound } from '../src/message.ts';
import { describeAdapter, everythingIn } from './contract/adapter.ts';
import { FULL, markdown } from './support/arbitraries.ts';
import { fencesMatch, isEscaped } from './support/slack/mrkdwn.ts';
import { type Said, type SlackServer, startSlack } from './support/slack.ts';
import { temporaryFolder } from './support/temp.ts';

const QUICK: Partial<Timing> = { firstRetryMs: 5, longestRetryMs: 20, refusedRetryMs: 20 };
const PERSON = 'U1001';
const ROOM = 'C2002';

const direct: ConversationId = { channel: 'slack', account: 'T0KIMI', chat: 'D1001' };
const message = (text: string, conversation = direct, more: Partial<Outbound> = {}): Outbound => ({
  conversation,
  idempotencyKey: text,
  text,
  final: true,
  ...more,
});
const never = new AbortController().signal;

describeAdapter('Slack', async () => {
  const server = await startSlack({ acknowledgeMs: 50 });
  const { botToken, appToken, apiUrl } = server;
  const adapter = createSlack({ botToken, appToken, apiUrl, timing: QUICK });
  const delivered: Said[] = [];
  server.join(direct.chat);
  return {
    adapter,
    secret: botToken,
    conversation: direct,
    deliver: (text) => void delivered.push(server.say(PERSON, text)),
    deliverAgain: () => {
      for (const { envelopes } of delivered) for (const one of envelopes) server.sockets.again(one);
    },
    acknowledged: () => delivered.filter(isAcknowledged).length,
    visible: () =>
      server.sent
        .filter((one) => !one.deleted)
        .map((one) => ({ messageId: `${one.channel}:${one.ts}`, text: one.text })),
    limitNext: (retryAfterMs) => server.misbehave({ kind: 'limit', retryAfter: retryAfterMs / 1_000 }),
    refuseNext: () => server.archive(direct.chat),
    loseNextAnswer: () => server.misbehave({ kind: 'lost' }),
    shutDown: () => server.close(),
    revoke: () => server.revoke('bot'),
    open: () => server.open,
    until: async (probe) => void (await server.waitFor(probe)),
    close: () => server.close(),
  };
});

describe('Slack', () => {
  let server: SlackServer;
  let adapter: Adapter;
  let received: Inbound[];
  let logged: string[];

  beforeEach(async () => {
    server = await startSlack({ acknowledgeMs: 100 });
    server.join(direct.chat);
    server.join(ROOM);
    received = [];
    logged = [];
    adapter = create();
  });

  afterEach(async () => {
    await adapter.stop();
    await server.close();
    const seen = logged.join('') + JSON.stringify(adapter.health());
    expect(seen).not.toContain(server.botToken);
    expect(seen).not.toContain(server.appToken);
    expect(server.sockets.strange).toEqual([]);
  });

  function create(timing: Partial<Timing> = {}): Adapter {
    const { botToken, appToken, apiUrl } = server;
    return createSlack({ botToken, appToken, apiUrl, timing: { ...QUICK, ...timing } });
  }

  async function start(receive: Receive = async (inbound) => void received.push(inbound)): Promise<void> {
    await adapter.start(receive, {
      log: createLog({
        level: 'debug',
        secrets: () => [],
        destination: { write: (line) => void logged.push(line) },
      }),
      commands: ['help', 'new', 'model', 'status'].map((name) => ({ name, description: name })),
    });
  }

  const heard = (text: string): Promise<Inbound> =>
    server.waitFor(() => received.find((inbound) => inbound.text === text), `"${text}" to be received`);
  const inState = (state: string): Promise<boolean> =>
    server.waitFor(() => adapter.health().state === state, `the state ${state}`);
  const connected = async (): Promise<void> => {
    await start();
    await inState('connected');
  };

  describe('receives', () => {
    test('a direct message, with all there is to know of it', async () => {
      await start();
      const { ts } = server.say(PERSON, 'Hello');
      expect(await heard('Hello')).toEqual({
        conversation: direct,
        messageId: `D1001:${ts}`,
        sender: { id: PERSON, name: PERSON },
        group: false,
        addressed: true,
        text: 'Hello',
        attachments: [],
        sentAt: Math.floor(Number(ts) * 1_000),
      });
      expect(adapter.health().identity).toBe('@kimi in Team');
    });

    test('a thread of a direct chat as a conversation of its own', async () => {
      await start();
      const { ts } = server.say(PERSON, 'above');
      server.say(PERSON, 'below', { thread: ts });
      expect((await heard('above')).conversation).toEqual(direct);
      expect((await heard('below')).conversation).toEqual({ ...direct, thread: ts });
    });

    test('in a channel, a conversation for each person and thread, which answers begin', async () => {
      await start();
      const { ts } = server.say(PERSON, '<@U0KIMI> hello', { channel: ROOM });
      const room = { channel: 'slack', account: 'T0KIMI', chat: ROOM };
      expect(await heard('hello')).toMatchObject({
        conversation: { ...room, thread: ts, person: PERSON },
        group: true,
        addressed: true,
      });
      server.say(PERSON, 'and more', { channel: ROOM, thread: ts });
      const more = await heard('and more');
      expect(more).toMatchObject({ addressed: false, inThread: true });
      expect(more.conversation).toEqual({ ...room, thread: ts, person: PERSON });
      server.say('U1002', 'aside', { channel: ROOM });
      const aside = await heard('aside');
      expect(aside.addressed).toBe(false);
      expect(aside.inThread).toBeUndefined();
    });

    test.each([true, false])('one post that is a mention and a message: mention first %s', async (first) => {
      await start();
      const said = server.say(PERSON, '<@U0KIMI> once', { channel: ROOM, mentionFirst: first });
      await server.waitFor(() => isAcknowledged(said));
      expect(received).toHaveLength(2);
      expect(received[0]).toEqual(received[1]);
    });

    test.each([
      ['<@U0KIMI> hello', true, 'hello'],
      ['<@U0KIMI|kimi>, hello', true, 'hello'],
      ['hello <@U0KIMI> there', true, 'hello @kimi there'],
      ['<@U0OTHER> hello', false, '@U0OTHER hello'],
      ['<@U0KIMI> /new', true, '/new'],
      ['<@U1|ann> in <#C1|general> or <#C2>', false, '@ann in #general or #C2'],
      ['<!here> <!subteam^S1|@team> <!date^1^{date}|today>', false, '@here @team today'],
      ['<https://a.b/c?d=1&amp;e=2>', false, 'https://a.b/c?d=1&e=2'],
      ['<https://a.b|the page>', false, '[the page](https://a.b)'],
      ['<mailto:a@b.c|a@b.c>', false, 'a@b.c'],
      ['a &lt;b&gt; &amp;amp; <c', false, 'a <b> &amp; <c'],
    ])('in a channel, %j: addressed %s', async (text, addressed, read) => {
      await start();
      server.say(PERSON, text, { channel: ROOM });
      expect(await heard(read)).toMatchObject({ group: true, addressed });
    });

    test('files, with the text beside them', async () => {
      await start();
      const bytes = Buffer.from('12345');
      const files = [
        { name: 'cat.png', mimetype: 'image/png', bytes },
        { name: 'notes.md', mimetype: 'text/markdown', bytes },
      ];
      server.say(PERSON, 'look', { files });
      const shown = (await heard('look')).attachments.map(({ source: _, ...rest }) => rest);
      expect(shown).toEqual([
        { kind: 'image', name: 'cat.png', mediaType: 'image/png', bytes: 5 },
        { kind: 'document', name: 'notes.md', mediaType: 'text/markdown', bytes: 5 },
      ]);
    });

    test.each([
      ['help', '/help'],
      ['', '/help'],
      ['Model big', '/Model big'],
      ['/new', '/new'],
      ['new ideas for dinner?', 'new ideas for dinner?'],
      ['hello &amp; goodbye', 'hello & goodbye'],
    ])('/kimi %j', async (text, read) => {
      await start();
      const envelope = server.command(PERSON, text);
      expect(await heard(read)).toMatchObject({
        conversation: direct,
        addressed: true,
        sender: { id: PERSON, name: 'person-U1001' },
      });
      await server.waitFor(() => envelope.acknowledged);
      server.command(PERSON, text);
      await server.waitFor(() => received.length === 2);
      expect(received[0]?.messageId).not.toBe(received[1]?.messageId);
    });

    test('a button that is pressed, in the conversation that it was shown in', async () => {
      await connected();
      const { ts } = server.say(PERSON, '<@U0KIMI> ask me', { channel: ROOM });
      const { conversation } = await heard('ask me');
      const options = [
        { id: 'yes', label: 'Yes' },
        { id: 'no', label: 'No, "never" 😀' },
      ];
      await adapter.send(message('Shall I?', conversation, { ask: { id: 'a:1.2', options } }), never);
      const [asked] = server.sent;
      if (!asked) throw new Error('nothing was sent');
      expect(asked).toMatchObject({ text: 'Shall I?', threadTs: ts });
      const envelope = server.press(PERSON, asked, 'No, "never" 😀');
      const pressed = await heard('No, "never" 😀');
      expect(pressed.choice).toEqual({ ask: 'a:1.2', option: 'no' });
      expect(pressed.conversation).toEqual(conversation);
      await server.waitFor(() => envelope.acknowledged);
      await adapter.edit?.(`${ROOM}:${asked.ts}`, message('Shall I?\n\n→ No', conversation), never);
      expect(asked.buttons).toEqual([]);
      expect(asked.text).toBe('Shall I?\n\n→ No');
    });

    test('nothing of edits, bots, notices and itself, but acknowledges them', async () => {
      await connected();
      const of = (more: Record<string, unknown>): Said => server.say(PERSON, 'not this', { more });
      const said = [
        of({ subtype: 'message_changed', message: { user: PERSON, text: 'x' } }),
        of({ subtype: 'bot_message', user: undefined }),
        of({ bot_id: 'B1' }),
        of({ user: 'U0KIMI' }),
        of({ user: 'USLACKBOT' }),
        of({ subtype: 'channel_join' }),
        of({ text: '' }),
        of({ type: 'reaction_added' }),
      ];
      await adapter.send(message('my own words'), never);
      server.say(PERSON, 'me too', { more: { subtype: 'thread_broadcast' } });
      await heard('me too');
      await server.waitFor(() => server.sockets.envelopes.every((one) => one.acknowledged));
      expect(said.every(isAcknowledged)).toBe(true);
      expect(received).toHaveLength(1);
    });

    test('the messages around frames that are none', async () => {
      await connected();
      const frames = [
        'null',
        '7',
        '"text"',
        '[]',
        '{}',
        'no json',
        '{"type":"events_api"}',
        '{"type":"events_api","envelope_id":"x"}',
        '{"type":"events_api","envelope_id":"x","payload":null}',
        '{"type":"events_api","envelope_id":"x","payload":{}}',
        '{"type":"events_api","envelope_id":"x","payload":{"event":null}}',
        '{"type":"events_api","envelope_id":"x","payload":{"event":{"type":7}}}',
        '{"type":"slash_commands","envelope_id":"x"}',
        '{"type":"interactive","envelope_id":7,"payload":{}}',
        // The names of events by which the library itself is run.
        ...['close', 'error', 'connected', 'disconnected', 'ws_message', 'slack_event', 'authenticated'].map(
          (type) => JSON.stringify({ type: 'events_api', envelope_id: 'x', payload: { event: { type } } }),
        ),
        ...['close', 'ws_message', 'slack_event'].map((type) =>
          JSON.stringify({ type, envelope_id: 'x', payload: {} }),
        ),
      ];
      for (const [i, frame] of frames.entries()) {
        server.sockets.frame(frame);
        server.sockets.frame(Buffer.from(frame));
        server.say(PERSON, `after ${i}`);
        await heard(`after ${i}`);
      }
      expect(server.sockets.opened).toBe(1);
      expect(received).toHaveLength(frames.length);
      // Whole envelopes with an event that is unknown: those may be acknowledged.
      server.sockets.strange.length = 0;
    });

    test('any frame and any event, and the message after it', async () => {
      await connected();
      let n = 0;
      await fc.assert(
        fc.asyncProperty(
          fc.array(fc.jsonValue(), { maxLength: 5 }),
          fc.jsonValue(),
          async (frames, event) => {
            for (const frame of frames) {
              server.sockets.frame(JSON.stringify(frame));
              server.sockets.frame(
                JSON.stringify({ type: 'events_api', envelope_id: 'e', payload: { event: frame } }),
              );
            }
            server.inject(event);
            const text = `still here ${n++}`;
            server.say(PERSON, text);
            await heard(text);
          },
        ),
        { numRuns: FULL ? 3_000 : 50 },
      );
      expect(server.sockets.opened).toBe(1);
      server.sockets.strange.length = 0;
    });

    test('any envelope whatever, without failing', () => {
      const me = { team: 'T0KIMI', user: 'U0KIMI', name: 'kimi' };
      const or = <T>(arbitrary: fc.Arbitrary<T>) => fc.oneof({ weight: 5, arbitrary }, fc.jsonValue());
      const ids = or(fc.constantFrom('C2002', 'D1001', 'U1001', 'U0KIMI'));
      const timestamps = or(fc.constantFrom('1700000000.000100', '1.2'));
      const texts = or(
        fc.oneof(
          fc.string({ unit: 'binary' }),
          fc.constantFrom('hi', '<@U0KIMI> hi', '<', '<@', '<!date^1|x>', '<|>'),
        ),
      );
      const event = fc.record(
        {
          type: or(fc.constantFrom('message', 'app_mention')),
          subtype: fc.option(or(fc.constantFrom('file_share', 'message_changed')), { nil: undefined }),
          channel: ids,
          user: ids,
          ts: timestamps,
          thread_ts: timestamps,
          text: texts,
          files: fc.array(
            or(fc.record({ id: ids, name: texts, mimetype: texts, size: or(fc.integer()), mode: texts })),
          ),
        },
        { requiredKeys: ['type', 'channel', 'user', 'ts'] },
      );
      const press = fc.record({
        type: or(fc.constant('block_actions')),
        user: or(fc.record({ id: ids, name: texts })),
        channel: or(fc.record({ id: ids })),
        message: or(fc.record({ ts: timestamps, thread_ts: timestamps })),
        trigger_id: texts,
        actions: fc.array(
          or(
            fc.record({
              type: fc.constant('button'),
              value: or(fc.constantFrom('["a","b"]', '["a"]', '{', 'x')),
              text: fc.jsonValue(),
              action_ts: texts,
            }),
          ),
        ),
      });
      const command = fc.record({ channel_id: ids, user_id: ids, text: texts, trigger_id: texts });
      const envelope = fc.oneof(
        fc.record({
          type: fc.constant('events_api'),
          id: fc.string(),
          payload: or(fc.record({ event: or(event) })),
        }),
        fc.record({ type: fc.constant('interactive'), id: fc.string(), payload: or(press) }),
        fc.record({ type: fc.constant('slash_commands'), id: fc.string(), payload: or(command) }),
        fc.record({ type: fc.string(), id: fc.string(), payload: fc.jsonValue() }),
      );
      const kinds = new Set<string>();
      fc.assert(
        fc.property(envelope, (given) => {
          const converted = convert(given, { me, channel: 'slack', commands: ['help'] });
          if ('ignored' in converted) {
            expect(converted.ignored).toMatch(/^[a-z_. ]{1,40}$/);
            return;
          }
          const { messageId, text, sentAt, conversation, choice } = converted.inbound;
          kinds.add(choice ? 'choice' : messageId.startsWith('command:') ? 'command' : 'message');
          expect(messageId).not.toBe('');
          expect(typeof text).toBe('string');
          expect(Number.isSafeInteger(sentAt)).toBe(true);
          expect(conversation.account).toBe('T0KIMI');
        }),
        { numRuns: FULL ? 300_000 : 5_000 },
      );
      expect(kinds).toEqual(new Set(['choice', 'command', 'message']));
    });
  });

  describe('acknowledges', () => {
    test('nothing before it is on disk, and an event that is repeated meanwhile has the same id', async () => {
      const commits: (() => void)[] = [];
      await start(async (inbound) => {
        received.push(inbound);
        await new Promise<void>((resolve) => commits.push(resolve));
      });
      const said = server.say(PERSON, 'slowly');
      await server.waitFor(() => (said.envelopes[0]?.attempts ?? 0) >= 2);
      expect(isAcknowledged(said)).toBe(false);
      commits.shift()?.();
      await server.waitFor(() => isAcknowledged(said));
      await server.waitFor(() => commits.length > 0);
      for (const commit of commits) commit();
      expect(new Set(received.map((inbound) => inbound.messageId)).size).toBe(1);
    });

    test('not what the disk did not take, nor does that hold up the next', async () => {
      let full = true;
      await start(async (inbound) => {
        if (full && inbound.text === 'first') throw new KimiError('disk full', { code: 'internal' });
        received.push(inbound);
      });
      const first = server.say(PERSON, 'first');
      await server.waitFor(() => adapter.health().lastError?.includes('could not be stored'));
      expect(adapter.health().state).toBe('connected');
      const second = server.say(PERSON, 'second');
      await server.waitFor(() => isAcknowledged(second));
      expect(isAcknowledged(first)).toBe(false);
      full = false;
      await server.waitFor(() => isAcknowledged(first));
      expect(adapter.health().lastError).toBeUndefined();
    });

    test('nothing on a socket that has closed meanwhile, without an error', async () => {
      let commit = (): void => undefined;
      await start(async (inbound) => {
        received.push(inbound);
        if (received.length === 1) await new Promise<void>((resolve) => (commit = resolve));
      });
      const said = server.say(PERSON, 'in between');
      await server.waitFor(() => received.length === 1);
      server.sockets.drop();
      await server.waitFor(() => server.sockets.opened === 2);
      commit();
      await server.waitFor(() => isAcknowledged(said));
      expect(new Set(received.map((inbound) => inbound.messageId)).size).toBe(1);
    });
  });

  describe('stays connected', () => {
    test.each(['warning', 'refresh_requested', 'too_many_websockets'])(
      'when Slack asks for a new socket (%s), it opens that before it closes the old',
      async (reason) => {
        await connected();
        const [old] = server.sockets.live;
        server.sockets.disconnect(reason, 5_000);
        await server.waitFor(() => server.sockets.opened === 2 && !server.sockets.live.has(old as never));
        expect(adapter.health()).toMatchObject({ state: 'connected' });
        server.say(PERSON, 'after it');
        await heard('after it');
      },
    );

    test.each(['refused', 'mute', 'closes'] as const)('after a socket that is %s', async (fault) => {
      adapter = create({ connectMs: 200 });
      server.misconnect(fault, fault);
      await start();
      await server.waitFor(() => adapter.health().state === 'retrying' || server.sockets.opened > 2);
      server.say(PERSON, 'at last');
      await heard('at last');
      await inState('connected');
      await server.waitFor(() => server.sockets.open === 1);
    });

    test('after a socket that answers no ping', async () => {
      adapter = create({ pongMs: 60 });
      server.misconnect('deaf');
      await connected();
      await server.waitFor(() => server.sockets.opened >= 2);
      server.say(PERSON, 'hear me');
      await heard('hear me');
    });

    test('after a socket that is cut', async () => {
      await connected();
      server.sockets.drop();
      server.say(PERSON, 'meanwhile');
      await heard('meanwhile');
      expect(server.sockets.opened).toBe(2);
    });

    test.each(['auth.test', 'apps.connections.open'])('after every failure of %s', async (method) => {
      adapter = create({ requestMs: 100, connectMs: 100 });
      const faults = [
        { kind: 'http', status: 500 },
        { kind: 'cut' },
        { kind: 'lost' },
        { kind: 'silence' },
        { kind: 'garbage', body: 'null' },
        { kind: 'garbage', body: '{}' },
        { kind: 'garbage', body: '<html>' },
        { kind: 'garbage', body: '{"ok":true}' },
        { kind: 'error', error: 'internal_error' },
        { kind: 'limit', retryAfter: 0 },
        { kind: 'error', error: 'invalid_auth' },
        { kind: 'error', error: 'token_revoked' },
        { kind: 'error', error: 'missing_scope', more: { needed: 'connections:write' } },
      ] as const;
      for (const fault of faults) server.misbehave(fault, { method });
      await start();
      await inState('refused');
      server.say(PERSON, 'after all that');
      await heard('after all that');
      await inState('connected');
      expect(adapter.health().lastError).toBeUndefined();
    });

    test.each([
      ['bot', /bot token/],
      ['app', /app-level token/],
    ] as const)(
      'a %s token that is revoked at a reconnection, until it is valid again',
      async (which, says) => {
        await connected();
        server.revoke(which);
        server.sockets.drop();
        await inState('refused');
        expect(adapter.health().lastError).toMatch(says);
        expect(adapter.health().lastError).toMatch(/api\.slack\.com\/apps/);
        server.restore();
        await inState('connected');
        server.say(PERSON, 'back again');
        await heard('back again');
      },
    );

    test('a bot token that a send finds revoked', async () => {
      await connected();
      server.revoke('bot', 'account_inactive');
      await expect(adapter.send(message('x'), never)).rejects.toMatchObject({ code: 'unauthorized' });
      await inState('refused');
      // What comes meanwhile is still taken in.
      server.say(PERSON, 'are you there?');
      await heard('are you there?');
      server.restore();
      await inState('connected');
    });

    test('tries a refused token rarely', async () => {
      adapter = create({ refusedRetryMs: 600_000 });
      server.revoke('bot');
      await start();
      await inState('refused');
      expect(server.calls.filter((call) => call.method === 'auth.test')).toHaveLength(1);
      await adapter.stop();
      expect(adapter.health().state).toBe('stopped');
    });

    test('says so when Socket Mode is switched off', async () => {
      await connected();
      server.sockets.disconnect('link_disabled', 0);
      await inState('refused');
      expect(adapter.health().lastError).toMatch(/Socket Mode/);
      await inState('connected');
    });

    test('stops at once, wherever it is', async () => {
      const places: (() => void)[] = [
        () => server.misbehave({ kind: 'silence' }, { method: 'auth.test' }),
        () => server.misbehave({ kind: 'silence' }, { method: 'apps.connections.open' }),
        () => server.misconnect('mute'),
        () => server.misconnect('deaf'),
      ];
      for (const misbehave of places) {
        misbehave();
        const before = server.calls.length + server.sockets.opened;
        await start();
        await server.waitFor(() => server.calls.length + server.sockets.opened > before && server.open > 0);
        await adapter.stop();
        await server.waitFor(() => server.open === 0);
      }
    });

    test('leaves nothing open when it is stopped: the process ends by itself', async () => {
      const script = fileURLToPath(new URL('./support/slack/start-stop.ts', import.meta.url));
      const { stdout } = await promisify(execFile)(process.execPath, [
        '--import',
        'tsx',
        script,
        server.apiUrl,
        server.botToken,
        server.appToken,
      ]);
      expect(stdout.trim()).toBe('stopped');
      await server.waitFor(() => server.open === 0);
    });

    test('a storm of reconnections while messages come: nothing lost, nothing left over', async () => {
      const rounds = FULL ? 100 : 12;
      await connected();
      await server.waitFor(() => server.sockets.open === 1);
      const before = { descriptors: descriptors(), timers: timers() };
      const said: Said[] = [];
      for (let round = 0; round < rounds; round++) {
        for (let i = 0; i < 3; i++) said.push(server.say(PERSON, `${round}.${i}`));
        const opened = server.sockets.opened;
        const ways = [
          () => server.sockets.drop(),
          () => server.sockets.disconnect('warning', 2),
          () => server.sockets.disconnect('refresh_requested', 1_000),
        ];
        ways[round % ways.length]?.();
        for (let i = 3; i < 6; i++) said.push(server.say(PERSON, `${round}.${i}`));
        await server.waitFor(() => server.sockets.opened > opened);
      }
      await server.waitFor(() => said.every(isAcknowledged));
      expect(new Set(received.map((inbound) => inbound.text)).size).toBe(rounds * 6);
      await server.waitFor(() => server.sockets.open === 1);
      await server.waitFor(() => descriptors() <= before.descriptors + 4, 'descriptors to be closed');
      await server.waitFor(() => timers() <= before.timers + 2, 'timers to be gone');
      await adapter.stop();
      await server.waitFor(() => server.open === 0);
    });
  });

  describe('sends', () => {
    test('CommonMark as mrkdwn, and edits it', async () => {
      const { messageId } = await adapter.send(message('**bold** [a](https://b.c)'), never);
      await adapter.edit?.(messageId, message('_all_'), never);
      expect(server.sent[0]?.versions.map(({ raw }) => raw)).toEqual(['*bold* <https://b.c|a>', '_all_']);
    });

    test('into the thread', async () => {
      const { ts } = server.say(PERSON, 'root', { channel: ROOM });
      const thread = { channel: 'slack', account: 'T0KIMI', chat: ROOM, thread: ts, person: PERSON };
      await adapter.send(message('below', thread), never);
      expect(server.sent[0]).toMatchObject({ channel: ROOM, threadTs: ts, text: 'below' });
    });

    test('a text that ends in half a pair', async () => {
      await adapter.send(message('half \ud83d'), never);
      await adapter.send(message('\ude00 other half'), never);
      expect(server.sent.map(({ text }) => text)).toEqual(['half \ufffd', '\ufffd other half']);
    });

    test('no call of a person, whatever it is told to write', async () => {
      const text = '<!channel> <!here|x> <@U1001> <!subteam^S1> @here @channel [x](<!everyone>) `<@U1>`';
      const { messageId } = await adapter.send(message(text), never);
      await adapter.edit?.(messageId, message(`${text} more`), never);
      const ask = { id: 'a', options: [{ id: 'y', label: '<!channel>' }] };
      await adapter.edit?.(messageId, message(text, direct, { ask }), never);
      expect(server.sent[0]?.pings).toEqual([]);
      expect(server.sent[0]?.text).toContain('<@U1001>');
    });

    test('a long question: its text in sections, its buttons below', async () => {
      const text = adapter.split(`${'A sentence & more <b>. '.repeat(200)}`)[0] ?? '';
      const options = Array.from({ length: 10 }, (_, i) => ({ id: `${i}`, label: 'x'.repeat(40 - i) }));
      await adapter.send(message(text, direct, { ask: { id: 'a'.repeat(40), options } }), never);
      const [asked] = server.sent;
      expect(asked?.text.replace(/\s+/g, ' ')).toBe(text.replace(/\s+/g, ' ').trim());
      expect(asked?.buttons.map(({ label }) => label)).toEqual(options.map(({ label }) => label));
      expect(asked?.versions[0]?.blocks.length).toBeGreaterThan(2);
    });

    test.each([
      [
        { kind: 'limit', retryAfter: 3 },
        { code: 'rate_limited', retryAfterMs: 3_000 },
      ],
      [
        { kind: 'limit', retryAfter: undefined },
        { code: 'rate_limited', retryAfterMs: 1_000 },
      ],
      [{ kind: 'error', error: 'ratelimited' }, { code: 'rate_limited' }],
      [
        { kind: 'http', status: 503 },
        { code: 'network', retryable: true, outcomeUnknown: true },
      ],
      [
        { kind: 'http', status: 404 },
        { code: 'network', outcomeUnknown: false },
      ],
      [{ kind: 'cut' }, { code: 'network', outcomeUnknown: true }],
      [{ kind: 'lost' }, { code: 'network', outcomeUnknown: true }],
      [{ kind: 'silence' }, { code: 'network', outcomeUnknown: true }],
      [
        { kind: 'garbage', body: 'null' },
        { code: 'network', outcomeUnknown: true },
      ],
      [
        { kind: 'garbage', body: '<html>' },
        { code: 'network', outcomeUnknown: true },
      ],
      [
        { kind: 'garbage', body: '{"ok":true}' },
        { code: 'network', outcomeUnknown: true },
      ],
      [
        { kind: 'error', error: 'fatal_error' },
        { code: 'network', outcomeUnknown: true },
      ],
      [
        { kind: 'error', error: 'service_unavailable' },
        { code: 'network', outcomeUnknown: false },
      ],
      [
        { kind: 'error', error: 'channel_not_found' },
        { code: 'refused', retryable: false },
      ],
      [{ kind: 'error', error: 'msg_too_long' }, { code: 'refused' }],
      [{ kind: 'error', error: 'missing_scope', more: { needed: 'chat:write' } }, { code: 'refused' }],
      [{ kind: 'error', error: 'invalid_auth' }, { code: 'unauthorized' }],
    ] as const)('and says what %j means', async (fault, expected) => {
      adapter = create({ requestMs: 300 });
      server.misbehave(fault, { method: 'chat.postMessage' });
      const error = await adapter.send(message('x'), never).catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(KimiError);
      expect(error).toMatchObject(expected);
      expect(everythingIn(error)).not.toContain(server.botToken);
      const calls = server.calls.filter((call) => call.method === 'chat.postMessage');
      expect(calls).toHaveLength(1);
      await adapter.send(message('and goes on'), never);
    });

    test('to one room while another is held up', async () => {
      server.misbehave({ kind: 'limit', retryAfter: 30 }, { method: 'chat.postMessage' });
      await expect(adapter.send(message('x'), never)).rejects.toMatchObject({ code: 'rate_limited' });
      server.misbehave({ kind: 'silence' }, { method: 'chat.postMessage' });
      const stuck = adapter.send(message('stuck'), never).catch((error: unknown) => error);
      await server.waitFor(() => server.calls.length === 2);
      await adapter.send(message('through', { ...direct, chat: ROOM }), never);
      server.behave();
      expect(await stuck).toMatchObject({ code: 'network' });
    });

    test('within what the platform takes, whatever the text', async () => {
      const texts: string[] = ['& '.repeat(9_000), '<'.repeat(9_000), '@here '.repeat(2_000)];
      if (FULL) texts.push(...fc.sample(markdown, 1_000).map((text) => text.repeat(5)));
      for (const text of texts) {
        for (const piece of adapter.split(text)) {
          const { messageId } = await adapter.send(message(piece), never);
          await adapter.edit?.(messageId, message(piece), never);
        }
      }
      for (const { versions, pings } of server.sent) {
        expect(pings).toEqual([]);
        for (const { raw } of versions) expect(fencesMatch(raw) && isEscaped(raw)).toBe(true);
      }
      expect(server.sent.length).toBeGreaterThan(10);
    });
  });

  describe('shows that it is at work', () => {
    test('by a reaction, which it takes back', async () => {
      const { ts } = server.say(PERSON, 'work');
      const at = `D1001:${ts}`;
      await adapter.react?.(direct, at, true);
      await adapter.react?.(direct, at, true);
      expect(server.reactions.get(at)).toEqual(new Set(['eyes']));
      await adapter.react?.(direct, at, false);
      expect(server.reactions.get(at)).toEqual(new Set());
      const calls = server.calls.length;
      for (const other of ['command:1', 'action:1', '', 'nonsense'])
        await adapter.react?.(direct, other, true);
      expect(server.calls.length).toBe(calls);
    });

    test('by a status in a thread', async () => {
      await adapter.typing?.({ ...direct, thread: '1.2' });
      await adapter.typing?.(direct);
      expect(server.statuses).toEqual(['D1001:1.2']);
    });

    test('and does not insist where it may not', async () => {
      await server.close();
      server = await startSlack({ statuses: false });
      adapter = create();
      const asked = (): number => server.calls.filter((call) => call.method.startsWith('assistant')).length;
      for (let i = 0; i < 3; i++) await adapter.typing?.({ ...direct, thread: '1.2' });
      expect(asked()).toBe(1);
      await adapter.typing?.({ ...direct, chat: ROOM, thread: '1.2' });
      expect(asked()).toBe(2);
    });
  });

  describe('files', () => {
    const bytes = Buffer.from('not really a picture');

    async function attached(more: { address?: string; redirect?: string } = {}): Promise<Attachment> {
      await connected();
      server.say(PERSON, 'a file', { files: [{ name: 'cat.png', mimetype: 'image/png', bytes, ...more }] });
      const [attachment] = (await heard('a file')).attachments;
      if (!attachment) throw new Error('no attachment');
      return attachment;
    }

    async function read(attachment: Attachment): Promise<Buffer> {
      const chunks: Uint8Array[] = [];
      for await (const chunk of (await adapter.download?.(attachment, never)) ?? []) chunks.push(chunk);
      return Buffer.concat(chunks);
    }

    function onDisk(name: string): Attachment {
      const path = join(temporaryFolder(), name);
      writeFileSync(path, 'not really a picture');
      return { kind: 'image', name, mediaType: 'image/png', bytes: bytes.length, source: { path } };
    }

    test('come in with the token', async () => {
      expect(await read(await attached())).toEqual(bytes);
      expect(server.files.seen.at(-1)?.authorization).toBe(`Bearer ${server.botToken}`);
    });

    test('that are gone, or not ours to read, are said to be so', async () => {
      const attachment = await attached();
      await expect(
        adapter.download?.({ ...attachment, source: { platformId: 'F0NONE' } }, never),
      ).rejects.toMatchObject({ code: 'refused' });
      const [stored] = server.files.stored.values();
      if (stored) stored.redirect = '/files/F9';
      await expect(adapter.download?.(attachment, never)).rejects.toMatchObject({ code: 'refused' });
    });

    test('the page to sign in is no picture', async () => {
      const attachment = await attached();
      const [stored] = server.files.stored.values();
      if (stored) stored.mimetype = 'text/html';
      await expect(adapter.download?.(attachment, never)).rejects.toMatchObject({ code: 'refused' });
    });

    test('are fetched from nobody else, and the token is shown to nobody else', async () => {
      const visits: (string | undefined)[] = [];
      const stranger = createServer((request, response) => {
        visits.push(request.headers.authorization);
        response.end('gotcha');
      });
      await new Promise<void>((resolve) => stranger.listen(0, '127.0.0.1', resolve));
      const address = `http://127.0.0.1:${(stranger.address() as AddressInfo).port}/x`;
      const elsewhere = await attached({ address });
      await expect(read(elsewhere)).rejects.toMatchObject({ code: 'refused' });
      const [stored] = server.files.stored.values();
      if (stored) Object.assign(stored, { address: undefined, redirect: address });
      await expect(read(elsewhere)).rejects.toMatchObject({ code: 'refused' });
      for (const evil of [
        'https://slack.com.evil.org/x',
        'https://evilslack.com/x',
        'http://files.slack.com/',
      ]) {
        if (stored) stored.address = evil;
        await expect(read(elsewhere)).rejects.toMatchObject({ code: 'refused' });
      }
      expect(visits).toEqual([]);
      await new Promise((resolve) => stranger.close(resolve));
    });

    test('go out with their caption, without the token', async () => {
      const { ts } = server.say(PERSON, 'draw', { channel: ROOM });
      const thread = { ...direct, chat: ROOM, thread: ts };
      const sent = await adapter.send(message('**Look**', thread, { file: onDisk('cat.png') }), never);
      expect(server.sent[0]).toMatchObject({ channel: ROOM, threadTs: ts, text: '*Look*' });
      const [id = ''] = server.sent[0]?.files ?? [];
      expect(server.files.stored.get(id)).toMatchObject({ name: 'cat.png', bytes });
      expect(server.files.seen.map(({ authorization }) => authorization)).toEqual([undefined]);
      await adapter.edit?.(sent.messageId, message('cannot change', thread), never);
      await adapter.remove?.(thread, sent.messageId, never);
      await adapter.remove?.(thread, sent.messageId, never);
      expect(server.files.stored.size).toBe(0);
    });

    test('go out with a question below', async () => {
      const ask = { id: 'a', options: [{ id: 'y', label: 'Yes' }] };
      const file = onDisk('cat.png');
      const { messageId } = await adapter.send(message('Good?', direct, { file, ask }), never);
      expect(server.sent.map(({ text, files }) => [text, files.length])).toEqual([
        ['', 1],
        ['Good?', 0],
      ]);
      expect(messageId).toBe(`D1001:${server.sent[1]?.ts}`);
    });

    test('whose upload fails were not sent, and those that are not there never will be', async () => {
      server.misbehave({ kind: 'http', status: 500 }, { method: 'files.getUploadURLExternal' });
      const file = onDisk('cat.png');
      await expect(adapter.send(message('', direct, { file }), never)).rejects.toMatchObject({
        code: 'network',
      });
      await expect(
        adapter.send(message('', direct, { file: { ...file, source: { path: '/nowhere' } } }), never),
      ).rejects.toMatchObject({ code: 'refused' });
      expect(server.sent).toEqual([]);
    });
  });
});

const isAcknowledged = ({ envelopes }: Said): boolean => envelopes.every((one) => one.acknowledged);

/** Open descriptors of this process; where the system does not tell, none. */
function descriptors(): number {
  try {
    return readdirSync('/proc/self/fd').length;
  } catch {
    return 0;
  }
}

/** Timers that keep this process alive. */
function timers(): number {
  return process.getActiveResourcesInfo().filter((resource) => resource === 'Timeout').length;
}
