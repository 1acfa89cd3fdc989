import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Adapter } from '../src/adapters/adapter.ts';
import { backoff } from '../src/adapters/backoff.ts';
import { convert, updateId } from '../src/adapters/telegram/inbound.ts';
import { TIMING, type Timing } from '../src/adapters/telegram/timing.ts';
import { createTelegram } from '../src/adapters/telegram.ts';
import { KimiError } from '../src/errors.ts';
import { createLog } from '../src/log.ts';
import type { ConversationId, Inbound, Outbound } from '../src/message.ts';
import { describeAdapter, everythingIn } from './contract/adapter.ts';
import { FULL } from './support/arbitraries.ts';
import { startTelegram, type TelegramServer } from './support/telegram.ts';

const QUICK: Partial<Timing> = { firstRetryMs: 5, longestRetryMs: 20, refusedRetryMs: 20 };
const PERSON = 1_001;
const GROUP = -100_500;

const direct: ConversationId = { channel: 'telegram', account: '7001', chat: String(PERSON) };
const message = (text: string, conversation = direct, more: Partial<Outbound> = {}): Outbound => ({
  conversation,
  idempotencyKey: text,
  text,
  final: true,
  ...more,
});
const never = new AbortController().signal;

describeAdapter('Telegram', async () => {
  const server = await startTelegram();
  server.say(PERSON, '/start');
  const adapter = createTelegram({ token: server.token, apiRoot: server.apiRoot, timing: QUICK });
  // The chat is known now; what made it known is acknowledged before the tests begin to count.
  const { updateId: first } = server.say(PERSON, 'hello');
  await fetch(`${server.apiRoot}/bot${server.token}/getUpdates?`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ offset: first + 1 }),
  });
  const delivered: number[] = [];
  return {
    adapter,
    secret: server.token,
    conversation: direct,
    deliver: (text) => void delivered.push(server.say(PERSON, text).updateId),
    deliverAgain: () => server.deliver('again'),
    acknowledged: () => delivered.filter((id) => id < server.offset).length,
    visible: () =>
      server.sent
        .filter((one) => !one.deleted)
        .map((one) => ({ messageId: `${one.chatId}:${one.messageId}`, text: one.text })),
    limitNext: (retryAfterMs) => server.misbehave({ kind: 'flood', retryAfter: retryAfterMs / 1_000 }),
    refuseNext: () => server.block(PERSON),
    loseNextAnswer: () => server.misbehave({ kind: 'lost' }),
    shutDown: () => server.close(),
    revoke: () => server.revoke(),
    open: () => server.open,
    until: async (probe) => void (await server.waitFor(probe)),
    close: () => server.close(),
  };
});

describe('Telegram', () => {
  let server: TelegramServer;
  let adapter: Adapter;
  let received: Inbound[];
  let logged: string[];

  beforeEach(async () => {
    server = await startTelegram();
    received = [];
    logged = [];
    adapter = create();
  });

  afterEach(async () => {
    await adapter.stop();
    await server.close();
    expect(logged.join('')).not.toContain(server.token);
    expect(JSON.stringify(adapter.health())).not.toContain(server.token);
  });

  function create(timing: Partial<Timing> = {}): Adapter {
    return createTelegram({ token: server.token, apiRoot: server.apiRoot, timing: { ...QUICK, ...timing } });
  }

  async function start(): Promise<void> {
    await adapter.start(async (inbound) => void received.push(inbound), {
      log: createLog({
        level: 'debug',
        secrets: () => [],
        destination: { write: (line) => void logged.push(line) },
      }),
      commands: [
        { name: 'help', description: 'What I can do' },
        { name: 'new', description: 'Start afresh' },
        { name: 'Not A Name', description: 'is left out' },
      ],
    });
  }

  const heard = (text: string): Promise<Inbound> =>
    server.waitFor(() => received.find((inbound) => inbound.text === text), `"${text}" to be received`);
  const acknowledged = (id: number): Promise<boolean> => server.waitFor(() => server.offset > id);
  const connected = (): Promise<boolean> => server.waitFor(() => adapter.health().state === 'connected');

  test('a storm of broken polls while messages come: nothing lost, nothing twice, nothing left over', async () => {
    const rounds = FULL ? 100 : 12;
    const timers = () => process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;
    await start();
    await connected();
    const before = timers();
    const faults = [
      { kind: 'cut' },
      { kind: 'gateway' },
      { kind: 'lost' },
      { kind: 'garbage', body: '{' },
    ] as const;
    for (let round = 0; round < rounds; round++) {
      for (let n = 0; n < 3; n++) server.say(PERSON, `${round}.${n}`);
      const { length } = server.calls;
      server.misbehave(faults[round % faults.length] ?? { kind: 'cut' }, { method: 'getUpdates' });
      for (let n = 3; n < 6; n++) server.say(PERSON, `${round}.${n}`);
      await server.waitFor(() => server.calls.length > length + 1, 'polls after the fault');
    }
    const texts = () => new Set(received.map(({ text }) => text));
    await server.waitFor(() => texts().size === rounds * 6, 'all messages');
    // What is offered again comes under the id that it had, so that the inbox knows it.
    expect(new Set(received.map(({ messageId }) => messageId)).size).toBe(rounds * 6);
    await server.waitFor(() => server.open === 1, 'one poll');
    await server.waitFor(() => timers() <= before + 2, 'timers to be gone');
    await adapter.stop();
    await server.waitFor(() => server.open === 0);
  });

  describe('receives', () => {
    test('a direct message, with all there is to know of it', async () => {
      await start();
      const { messageId } = server.say(PERSON, 'Hello', { more: { date: 1_700_000_000 } });
      expect(await heard('Hello')).toEqual({
        conversation: direct,
        messageId: `${PERSON}:${messageId}`,
        sender: { id: '1001', name: 'Person 1001' },
        group: false,
        addressed: true,
        text: 'Hello',
        attachments: [],
        sentAt: 1_700_000_000_000,
      });
      expect(adapter.health().identity).toBe('@kimi_test_bot');
    });

    test('what was written before it started, and drops nothing', async () => {
      for (let i = 0; i < 120; i++) server.say(PERSON, `early ${i}`);
      await start();
      await heard('early 119');
      expect(received.map((inbound) => inbound.text)).toEqual(
        Array.from({ length: 120 }, (_, i) => `early ${i}`),
      );
    });

    test.each([
      ['hello all', false, 'hello all'],
      ['@kimi_test_bot hello', true, 'hello'],
      ['@Kimi_Test_Bot, hello', true, 'hello'],
      ['hello @kimi_test_bot there', true, 'hello @kimi_test_bot there'],
      ['@another_bot hello', false, '@another_bot hello'],
      ['/new', true, '/new'],
      ['/model@kimi_test_bot big', true, '/model big'],
      ['@kimi_test_bot /new', true, '/new'],
      ['/new@another_bot', false, '/new@another_bot'],
      ['/usr/bin/env', false, '/usr/bin/env'],
      ['mail@kimi_test_bot.org', false, 'mail@kimi_test_bot.org'],
    ])('in a group, %j: addressed %s', async (text, addressed, left) => {
      await start();
      server.say(PERSON, text, { chat: GROUP });
      expect(await heard(left)).toMatchObject({ group: true, addressed });
    });

    test('in a group, a conversation for each person and topic', async () => {
      await start();
      server.say(PERSON, 'one', { chat: GROUP });
      server.say(1_002, 'two', { chat: GROUP, thread: 9 });
      const room = { channel: 'telegram', account: '7001', chat: String(GROUP) };
      expect((await heard('one')).conversation).toEqual({ ...room, person: '1001' });
      expect((await heard('two')).conversation).toEqual({ ...room, thread: '9', person: '1002' });
    });

    test('in a group, replies to us, but not what merely stands in a topic of ours', async () => {
      await start();
      const from = { id: 7_001, is_bot: true, first_name: 'Kimi' };
      server.say(PERSON, 'to you', { chat: GROUP, more: { reply_to_message: { from, text: 'x' } } });
      server.say(PERSON, 'in topic', {
        chat: GROUP,
        more: { reply_to_message: { from, forum_topic_created: {} } },
      });
      server.say(PERSON, 'to other', { chat: GROUP, more: { reply_to_message: { from: { id: 5 } } } });
      expect((await heard('to you')).addressed).toBe(true);
      expect((await heard('in topic')).addressed).toBe(false);
      expect((await heard('to other')).addressed).toBe(false);
    });

    test('a mention of us by those who have no name for us', async () => {
      await start();
      const entities = [{ type: 'text_mention', offset: 0, length: 4, user: { id: 7_001 } }];
      server.say(PERSON, 'Kimi: hello', { chat: GROUP, more: { entities } });
      expect((await heard('hello')).addressed).toBe(true);
    });

    test('photos, files and voices, with their captions', async () => {
      await start();
      const photo = [
        { file_id: 'small', file_size: 10, width: 1, height: 1 },
        { file_id: 'large', file_size: 99, width: 9, height: 9 },
      ];
      server.say(PERSON, '', { more: { text: undefined, caption: 'a photo', photo } });
      const document = { file_id: 'd', file_name: 'notes.md', mime_type: 'text/markdown', file_size: 5 };
      server.say(PERSON, '', { more: { text: undefined, caption: 'a file', document } });
      server.say(PERSON, '', { more: { text: undefined, voice: { file_id: 'v', mime_type: 'audio/ogg' } } });
      expect((await heard('a photo')).attachments).toEqual([
        {
          kind: 'image',
          name: 'photo.jpg',
          mediaType: 'image/jpeg',
          bytes: 99,
          source: { platformId: 'large' },
        },
      ]);
      expect((await heard('a file')).attachments).toEqual([
        {
          kind: 'document',
          name: 'notes.md',
          mediaType: 'text/markdown',
          bytes: 5,
          source: { platformId: 'd' },
        },
      ]);
      expect((await heard('')).attachments).toEqual([
        { kind: 'audio', name: 'voice.ogg', mediaType: 'audio/ogg', bytes: 0, source: { platformId: 'v' } },
      ]);
    });

    test('nothing of stickers, edits, bots, members and kinds it does not know, and goes on', async () => {
      await start();
      await connected();
      server.say(PERSON, '', { more: { text: undefined, sticker: { file_id: 's' } } });
      server.inject({ edited_message: { message_id: 1, text: 'edited' } });
      server.inject({ my_chat_member: { chat: { id: PERSON } } });
      server.inject({ callback_query: { id: '1', data: 'x' } });
      server.inject({ something_new: { deep: [1] } });
      server.say(4_004, 'I am a bot', { more: { from: { id: 4_004, is_bot: true, first_name: 'Bot' } } });
      server.say(PERSON, 'after all that');
      await heard('after all that');
      expect(received).toHaveLength(1);
      for (const kind of ['something_new', 'edited_message', 'message of a bot']) {
        expect(logged.join('')).toContain(`"kind":"${kind}"`);
      }
    });

    test('the messages around garbage', async () => {
      await start();
      await connected();
      server.say(PERSON, 'before');
      for (const garbage of [null, 7, 'text', [], {}, { update_id: 'x' }, { update_id: -1.5, message: 1 }]) {
        server.inject(garbage);
      }
      server.inject({ message: null });
      server.inject({ message: { message_id: 1, date: 0, chat: { id: 'x' }, from: {} } });
      const { updateId: last } = server.say(PERSON, 'behind');
      await heard('behind');
      await acknowledged(last);
      expect(received.map((inbound) => inbound.text)).toEqual(['before', 'behind']);
    });

    test('a batch that comes twice and in reverse order', async () => {
      server.deliver('twice');
      for (const text of ['a', 'b', 'c']) server.say(PERSON, text);
      await start();
      await heard('c');
      const { updateId: last } = server.say(PERSON, 'd');
      await acknowledged(last);
      expect(new Set(received.map((inbound) => inbound.messageId)).size).toBe(4);
      server.deliver('reversed');
      await adapter.stop();
      for (const text of ['e', 'f', 'g']) server.say(PERSON, text);
      await start();
      for (const text of ['e', 'f', 'g']) await heard(text);
    });

    test('any update whatever, without failing', () => {
      const me = { id: 7_001, username: 'kimi_test_bot' };
      const near = fc.record(
        {
          update_id: fc.oneof(fc.integer(), fc.jsonValue()),
          message: fc.record(
            {
              message_id: fc.oneof(fc.nat(), fc.jsonValue()),
              date: fc.oneof(fc.nat(), fc.jsonValue()),
              chat: fc.oneof(
                fc.record({
                  id: fc.maxSafeInteger(),
                  type: fc.constantFrom('private', 'group', 'supergroup', 'channel'),
                }),
                fc.jsonValue(),
              ),
              from: fc.oneof(
                fc.record({ id: fc.maxSafeNat(), is_bot: fc.boolean(), first_name: fc.string() }),
                fc.jsonValue(),
              ),
              text: fc.oneof(
                fc.string({ unit: 'binary' }),
                fc.constantFrom('/x', '@kimi_test_bot hi'),
                fc.jsonValue(),
              ),
              entities: fc.oneof(
                fc.array(
                  fc.record({
                    type: fc.constantFrom('mention', 'text_mention', 'bot_command'),
                    offset: fc.integer(),
                    length: fc.integer(),
                    user: fc.jsonValue(),
                  }),
                ),
                fc.jsonValue(),
              ),
              photo: fc.oneof(fc.array(fc.record({ file_id: fc.string() })), fc.jsonValue()),
              document: fc.jsonValue(),
              reply_to_message: fc.jsonValue(),
              message_thread_id: fc.jsonValue(),
              is_topic_message: fc.jsonValue(),
            },
            { requiredKeys: [] },
          ),
        },
        { requiredKeys: [] },
      );
      let messages = 0;
      fc.assert(
        fc.property(
          fc.oneof({ weight: 4, arbitrary: near }, { weight: 1, arbitrary: fc.jsonValue() }),
          (update) => {
            const id = updateId(update);
            expect(id === undefined || Number.isSafeInteger(id)).toBe(true);
            const converted = convert(update, me, 'telegram');
            if ('ignored' in converted) {
              expect(converted.ignored).toMatch(/^[a-z_ ]{1,40}$/);
            } else {
              messages++;
              expect(converted.inbound.messageId).toMatch(/^-?\d+:-?\d+$/);
              expect(typeof converted.inbound.text).toBe('string');
            }
          },
        ),
        { numRuns: FULL ? 300_000 : 3_000 },
      );
      expect(messages).toBeGreaterThan(0);
    });

    test('any list of updates through the real client, and the message after it', async () => {
      await start();
      await connected();
      let n = 0;
      await fc.assert(
        fc.asyncProperty(fc.array(fc.jsonValue(), { maxLength: 5 }), async (updates) => {
          for (const update of updates) server.inject(update);
          const text = `still here ${n++}`;
          server.say(PERSON, text);
          await heard(text);
        }),
        { numRuns: FULL ? 300 : 25 },
      );
    });
  });

  describe('stays alive', () => {
    const faults = [
      { kind: 'gateway' },
      { kind: 'cut' },
      { kind: 'lost' },
      { kind: 'garbage', body: 'no json' },
      { kind: 'garbage', body: 'null' },
      { kind: 'garbage', body: '{}' },
      { kind: 'garbage', body: '{"ok":false}' },
      { kind: 'garbage', body: '[1,2]' },
      { kind: 'result', result: { not: 'a list' } },
      { kind: 'result', result: null },
      { kind: 'result', result: [null, 'x', {}] },
      { kind: 'error', code: 500, description: 'Internal Server Error' },
      { kind: 'error', code: 400, description: 'Bad Request: whatever' },
      { kind: 'error', code: 401, description: 'Unauthorized' },
      { kind: 'flood', retryAfter: 0.01 },
    ] as const;

    test.each(faults)('polling, after %j', async (fault) => {
      await start();
      await connected();
      server.misbehave(fault, { method: 'getUpdates', times: 3 });
      server.say(PERSON, 'and yet');
      await heard('and yet');
      await connected();
      expect(adapter.health().lastError).toBeUndefined();
    });

    test.each(faults)('logging in, after %j', async (fault) => {
      server.misbehave(fault, { method: 'getMe', times: 3 });
      await start();
      server.say(PERSON, 'and yet');
      await heard('and yet');
    });

    test('replaces a poll that stalls, however the peer holds it', async () => {
      adapter = create({ pollSeconds: 1, stallMs: 50 });
      server.misbehave({ kind: 'silence' }, { method: 'getUpdates', times: 2 });
      await start();
      server.say(PERSON, 'after the silence');
      await heard('after the silence');
    });

    test('polls on when nothing happens', async () => {
      adapter = create({ pollSeconds: 1 });
      await start();
      await server.waitFor(() => server.polls >= 2);
      expect(adapter.health().state).toBe('connected');
    });

    test('waits exactly as long as Telegram asks', async () => {
      server.misbehave({ kind: 'flood', retryAfter: 0.123 }, { method: 'getUpdates' });
      await start();
      await connected();
      expect(logged.join('')).toContain('"waitMs":123,');
    });

    test('says that another program polls', async () => {
      await start();
      await connected();
      server.misbehave(
        { kind: 'error', code: 409, description: 'Conflict: terminated by other getUpdates request' },
        { method: 'getUpdates', times: 3 },
      );
      await server.waitFor(() => adapter.health().lastError?.includes('Another program'));
      await connected();
    });

    test('deletes a webhook and keeps the updates that wait', async () => {
      server.say(PERSON, 'waiting');
      server.setWebhook('https://example.org/hook');
      await start();
      await heard('waiting');
      expect(server.calls.find((call) => call.method === 'deleteWebhook')?.params).toEqual({
        drop_pending_updates: 'false',
      });
    });

    test('says what to do about a token that is refused while it runs', async () => {
      await start();
      await connected();
      server.revoke();
      await server.waitFor(() => adapter.health().state === 'refused');
      expect(adapter.health().lastError).toContain('@BotFather');
    });

    test('the process ends by itself once it is stopped', async () => {
      const script = fileURLToPath(new URL('./support/telegram/start-stop.ts', import.meta.url));
      const { stdout } = await promisify(execFile)(
        process.execPath,
        ['--import', 'tsx', script, server.apiRoot, server.token],
        { timeout: 60_000 },
      );
      expect(stdout.trim()).toBe('stopped');
    });

    test('waits longer with each failure, up to a limit, and never the same time', () => {
      fc.assert(
        fc.property(fc.integer({ min: 1, max: 5_000 }), (failures) => {
          const wait = backoff(failures, TIMING);
          const full = Math.min(TIMING.firstRetryMs * 2 ** (failures - 1), TIMING.longestRetryMs);
          expect(wait).toBeGreaterThanOrEqual(full / 2);
          expect(wait).toBeLessThanOrEqual(full);
        }),
      );
    });
  });

  describe('registers commands', () => {
    const wanted = [
      { command: 'help', description: 'What I can do' },
      { command: 'new', description: 'Start afresh' },
    ];

    test('when they are new, and not again', async () => {
      await start();
      await server.waitFor(() => server.commands.length === 2);
      expect(server.commands).toEqual(wanted);
      await adapter.stop();
      await start();
      await server.waitFor(() => server.calls.filter((call) => call.method === 'getMyCommands').length === 2);
      await connected();
      expect(server.calls.filter((call) => call.method === 'setMyCommands')).toHaveLength(1);
    });

    test('or does without', async () => {
      server.misbehave(
        { kind: 'error', code: 400, description: 'Bad Request: no' },
        { method: 'setMyCommands' },
      );
      await start();
      server.say(PERSON, 'works');
      await heard('works');
    });
  });

  describe('writes', () => {
    beforeEach(() => {
      server.say(PERSON, '/start');
      server.say(PERSON, 'hello', { chat: GROUP });
    });

    test('Markdown as HTML, without link previews', async () => {
      const { messageId } = await adapter.send(message('**2 < 3**, see https://example.org'), never);
      const [sent] = server.sent;
      expect(messageId).toBe(`${PERSON}:${sent?.messageId}`);
      expect(sent?.text).toBe('2 < 3, see https://example.org');
      expect(sent?.versions[0]).toMatchObject({ parseMode: 'HTML', method: 'sendMessage' });
      const params = server.calls.at(-1)?.params;
      expect(params?.link_preview_options).toBe('{"is_disabled":true}');
    });

    test('plainly what Telegram cannot parse', async () => {
      const description = "Bad Request: can't parse entities: Unsupported start tag";
      server.misbehave({ kind: 'error', code: 400, description }, { method: 'sendMessage' });
      const { messageId } = await adapter.send(message('**bold** <x>'), never);
      expect(server.sent[0]?.versions[0]).toMatchObject({ raw: '**bold** <x>', parseMode: undefined });
      server.misbehave({ kind: 'error', code: 400, description }, { method: 'editMessageText' });
      await adapter.edit?.(messageId, message('*edited*'), never);
      expect(server.sent[0]?.text).toBe('*edited*');
    });

    test('as an answer in groups only', async () => {
      const group = { ...direct, chat: String(GROUP), thread: '9', person: String(PERSON) };
      await adapter.send(message('to you', group, { replyTo: `${GROUP}:1` }), never);
      await adapter.send(message('gone', group, { replyTo: `${GROUP}:999` }), never);
      await adapter.send(message('direct', direct, { replyTo: `${PERSON}:1` }), never);
      expect(server.sent.map((sent) => [sent.replyTo, sent.threadId])).toEqual([
        [1, 9],
        [999, 9],
        [undefined, undefined],
      ]);
    });

    test('the sign that it writes, and does not mind when that fails', async () => {
      await adapter.typing?.({ ...direct, thread: '3' });
      expect(server.calls.at(-1)).toMatchObject({
        method: 'sendChatAction',
        params: { chat_id: '1001', action: 'typing', message_thread_id: '3' },
      });
      for (const fault of [{ kind: 'flood', retryAfter: 9 }, { kind: 'cut' }, { kind: 'gateway' }] as const) {
        server.misbehave(fault);
        await adapter.typing?.(direct);
      }
      await adapter.typing?.({ ...direct, chat: 'nonsense' });
    });

    test.each([
      [
        { kind: 'flood', retryAfter: 17 },
        { code: 'rate_limited', retryAfterMs: 17_000, outcomeUnknown: false },
      ],
      [
        { kind: 'error', code: 403, description: 'Forbidden: bot was blocked by the user' },
        { code: 'refused' },
      ],
      [{ kind: 'error', code: 400, description: 'Bad Request: chat not found' }, { code: 'refused' }],
      [{ kind: 'error', code: 401, description: 'Unauthorized' }, { code: 'unauthorized' }],
      [{ kind: 'error', code: 404, description: 'Not Found' }, { code: 'unauthorized' }],
      [
        { kind: 'error', code: 500, description: 'Internal' },
        { code: 'network', outcomeUnknown: false },
      ],
      [{ kind: 'gateway' }, { code: 'network', retryable: true, outcomeUnknown: true }],
      [{ kind: 'cut' }, { code: 'network', retryable: true, outcomeUnknown: true }],
      [{ kind: 'lost' }, { code: 'network', retryable: true, outcomeUnknown: true }],
      [{ kind: 'silence' }, { code: 'network', retryable: true, outcomeUnknown: true }],
      [
        { kind: 'garbage', body: 'null' },
        { code: 'network', retryable: true, outcomeUnknown: true },
      ],
      [
        { kind: 'garbage', body: '{}' },
        { code: 'network', retryable: true, outcomeUnknown: true },
      ],
      [
        { kind: 'garbage', body: '<html>' },
        { code: 'network', retryable: true, outcomeUnknown: true },
      ],
      [
        { kind: 'result', result: {} },
        { code: 'network', retryable: true, outcomeUnknown: true },
      ],
    ] as const)('and says what failed: %j', async (fault, expected) => {
      adapter = create({ requestMs: fault.kind === 'silence' ? 200 : 20_000 });
      server.misbehave(fault, { method: 'sendMessage' });
      const error = await adapter.send(message('x'), never).catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(KimiError);
      expect(error).toMatchObject(expected);
      expect(String(error)).not.toContain(server.token);
    });

    test('nobody the token, even when the other side echoes it', async () => {
      const echo = { kind: 'error', code: 400, description: `Bad Request: /bot${server.token}/x` } as const;
      server.misbehave(echo, { method: 'getUpdates', times: 2 });
      await start();
      await server.waitFor(() => adapter.health().lastError?.includes('/bot[token]/x'));
      server.misbehave(echo, { method: 'sendMessage' });
      const error = await adapter.send(message('x'), never).catch((reason: unknown) => reason);
      expect(everythingIn(error)).toContain('/bot[token]/x');
      expect(everythingIn(error)).not.toContain(server.token);
    });

    test('no edit of what is gone or was never there', async () => {
      const gone = adapter.edit?.(`${PERSON}:99`, message('x'), never);
      await expect(gone).rejects.toMatchObject({ code: 'refused' });
      await expect(adapter.edit?.('nonsense', message('x'), never)).rejects.toMatchObject({
        code: 'refused',
      });
    });

    test('nothing that is longer than a message', async () => {
      await expect(adapter.send(message('x'.repeat(4_097)), never)).rejects.toMatchObject({
        code: 'refused',
      });
      await adapter.send(message('x'.repeat(4_096)), never);
      await adapter.send(message('<'.repeat(4_096)), never);
      expect(server.sent.map((sent) => sent.text.length)).toEqual([4_096, 4_096]);
    });

    test('and stops when asked to, while Telegram says nothing', async () => {
      server.misbehave({ kind: 'silence' }, { method: 'sendMessage' });
      const stop = new AbortController();
      const sending = adapter.send(message('x'), stop.signal);
      await server.waitFor(() => server.calls.some((call) => call.method === 'sendMessage'));
      stop.abort();
      await expect(sending).rejects.toMatchObject({ code: 'stopped', outcomeUnknown: true });
    });
  });
});

describe('the Bot API on loopback', () => {
  test('enforces rates when asked to', async () => {
    const server = await startTelegram({ enforceRates: true });
    server.say(PERSON, 'hi');
    const adapter = createTelegram({ token: server.token, apiRoot: server.apiRoot });
    await adapter.send(message('one'), never);
    await expect(adapter.send(message('two'), never)).rejects.toMatchObject({ retryAfterMs: 1_000 });
    await server.close();
  });

  test('takes JSON, forms and multipart alike', async () => {
    const server = await startTelegram();
    server.say(PERSON, 'hi');
    const url = `${server.apiRoot}/bot${server.token}/sendMessage`;
    const form = new FormData();
    form.set('chat_id', String(PERSON));
    form.set('text', 'multipart');
    await fetch(url, { method: 'POST', body: form });
    await fetch(url, {
      method: 'POST',
      body: new URLSearchParams({ chat_id: String(PERSON), text: 'form' }),
    });
    await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ chat_id: PERSON, text: 'json' }),
    });
    expect(server.sent.map((sent) => sent.text)).toEqual(['multipart', 'form', 'json']);
    await server.close();
  });
});
