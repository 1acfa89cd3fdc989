import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Chat, type ChatEvent, type ChatOptions, createChat } from '../src/models/chat.ts';
import { createGate, type Gate } from '../src/models/gate.ts';
import type { ChatModel, ModelProvider } from '../src/models/model.ts';
import { createOllamaProvider } from '../src/models/ollama.ts';
import { createRepetitionGuard } from '../src/models/repetition.ts';
import { createThinkFilter } from '../src/models/thinking.ts';
import { type Reply, type StandIn, startOllama } from './support/ollama.ts';

const log = pino({ level: 'silent' });
const TINY = 'smollm2:135m';
const FIRST = 'first:8b';
const SECOND = 'second:8b';

let server: StandIn;
let provider: ModelProvider;
let gate: Gate;
let limit: number;

beforeEach(async () => {
  server = await startOllama([{ name: FIRST }, { name: SECOND }, { name: TINY, parameterSize: '134.52M' }]);
  provider = createOllamaProvider({
    settings: () => ({ baseUrl: server.url, keepAlive: '5m' }),
    log,
    memory: () => 64 * 1024 ** 3,
  });
  limit = 4;
  gate = createGate(() => limit);
});
afterEach(async () => {
  await provider.close();
  await server.close();
});

function chatWith(names: readonly string[], options: Partial<ChatOptions> = {}): Chat {
  return createChat({
    candidates: () => Promise.all(names.map((name) => provider.chat(name))),
    gate,
    deadlines: () => ({ firstTokenMs: 60_000, silenceMs: 60_000 }),
    log,
    ...options,
  });
}

function ask(chat: Chat, text = 'Hello', signal = new AbortController().signal): AsyncIterable<ChatEvent> {
  return chat({
    signal,
    prepare: async () => ({ prompt: [{ role: 'user', content: [{ type: 'text', text }] }] }),
  });
}

async function all(events: AsyncIterable<ChatEvent>): Promise<ChatEvent[]> {
  const seen: ChatEvent[] = [];
  for await (const event of events) seen.push(event);
  return seen;
}

/** As one reads a transcript: `model first:8b`, `text Paris`, `reset model_failed`, `finish stop`. */
function transcript(events: readonly ChatEvent[]): string[] {
  const lines: string[] = [];
  for (const event of events) {
    if (event.type === 'text') {
      const last = lines.at(-1);
      if (last?.startsWith('text ')) lines[lines.length - 1] = last + event.delta;
      else lines.push(`text ${event.delta}`);
    } else if (event.type === 'model') {
      lines.push(`${event.fallback ? 'fallback' : 'model'} ${event.model.ref.replace('ollama/', '')}`);
    } else if (event.type === 'finish') lines.push(`finish ${event.reason}`);
    else if (event.type === 'reset' || event.type === 'error')
      lines.push(`${event.type} ${event.error.code}`);
    else if (event.type === 'tool-call') lines.push(`call ${event.call.toolName} ${event.call.input}`);
    else lines.push(`waiting for ${event.progress.what}`);
  }
  return lines;
}

async function answer(names: readonly string[], ...replies: Reply[]): Promise<string[]> {
  server.replies.push(...replies);
  return transcript(await all(ask(chatWith(names))));
}

const dead = { firstTokenMs: 50, silenceMs: 60_000 };
const patient = { firstTokenMs: 60_000, silenceMs: 50 };

describe('an answer', () => {
  it('is the model, its text, and how it ended', async () => {
    server.replies.push({ text: ['Par', 'is.'], usage: { input: 12, output: 3 } });
    const events = await all(ask(chatWith([FIRST])));
    expect(transcript(events)).toEqual(['model first:8b', 'text Paris.', 'finish stop']);
    expect(events.at(-1)).toMatchObject({ inputTokens: 12, outputTokens: 3 });
    expect(gate.full()).toBe(false);
  });

  it('may be tool calls alone', async () => {
    const toolCalls = [{ name: 'add', arguments: { a: 1 } }];
    expect(await answer([FIRST], { toolCalls })).toEqual([
      'model first:8b',
      'call add {"a":1}',
      'finish tool-calls',
    ]);
  });

  it('holds no reasoning, whichever way it came', async () => {
    expect(
      await answer([FIRST], {
        thinking: ['I ponder.'],
        text: ['<th', 'ink>Hm', 'm</thi', 'nk>\n\n', 'Paris'],
      }),
    ).toEqual(['model first:8b', 'text Paris', 'finish stop']);
  });

  it('that is only reasoning, or empty, is none', async () => {
    for (const reply of [{ text: '<think>For ever and' }, { thinking: ['Hm.'] }, { text: ' \n' }, {}]) {
      const lines = await answer([FIRST, SECOND], reply, { text: 'Paris' });
      expect(lines.filter((line) => line.trim() !== 'text')).toEqual(
        expect.arrayContaining(['fallback second:8b', 'text Paris', 'finish stop']),
      );
      expect((await answer([FIRST], reply)).at(-1)).toBe('error model_failed');
    }
  });

  it('is prepared for the model that is asked', async () => {
    const windows: number[] = [];
    const chat = chatWith([TINY, FIRST]);
    server.replies.push({ trouble: 'status' });
    await all(
      chat({
        signal: new AbortController().signal,
        prepare: async (model: ChatModel) => {
          windows.push(model.window);
          return { prompt: [{ role: 'user', content: [{ type: 'text', text: 'Hi' }] }] };
        },
      }),
    );
    expect(windows).toEqual([4_096, 16_384]);
  });
});

describe('a model that fails', () => {
  it.each(['status', 'cut', 'garbage', 'unfinished', 'error-line'] as const)(
    'by %s gives way to the next, and what it wrote is void',
    async (trouble) => {
      const lines = await answer([FIRST, SECOND], { text: 'Lon', trouble }, { text: 'Paris' });
      // Whether the text got through before the failure is up to the sockets; if it did, it is taken back.
      const seen = lines.includes('text Lon') ? ['text Lon', 'reset model_failed'] : [];
      expect(lines).toEqual(['model first:8b', ...seen, 'fallback second:8b', 'text Paris', 'finish stop']);
    },
  );

  it('after a word takes it back', async () => {
    let fail = () => {};
    const failing = new Promise<void>((resolve) => {
      fail = resolve;
    });
    server.replies.push(
      { text: ['Lon', ''], before: (index) => (index === 0 ? Promise.resolve() : failing), trouble: 'cut' },
      { text: 'Paris' },
    );
    const seen: ChatEvent[] = [];
    for await (const event of ask(chatWith([FIRST, SECOND]))) {
      seen.push(event);
      if (event.type === 'text') fail();
    }
    expect(transcript(seen)).toEqual([
      'model first:8b',
      'text Lon',
      'reset model_failed',
      'fallback second:8b',
      'text Paris',
      'finish stop',
    ]);
  });

  it('and is the last ends with its error, and is told of', async () => {
    const told: string[] = [];
    server.replies.push({ trouble: 'status', status: 404 }, { trouble: 'unfinished' });
    const chat = chatWith([FIRST, SECOND], {
      onFailure: (model, error) => told.push(`${model.ref} ${error.code}`),
    });
    expect(transcript(await all(ask(chat)))).toEqual([
      'model first:8b',
      'fallback second:8b',
      'error model_failed',
    ]);
    expect(told).toEqual(['ollama/first:8b not_found', 'ollama/second:8b model_failed']);
    expect(gate.full()).toBe(false);
  });

  it('is a fallback from the start when another was named', async () => {
    const chat = chatWith([SECOND], { firstChoice: () => 'ollama/first:8b' });
    expect(transcript(await all(ask(chat)))[0]).toBe('fallback second:8b');
  });

  it('while its prompt is made gives way too', async () => {
    const chat = chatWith([FIRST, SECOND]);
    const events = chat({
      signal: new AbortController().signal,
      prepare: async (model) => {
        if (model.ref === 'ollama/first:8b') throw new Error('no room');
        return { prompt: [] };
      },
    });
    expect(transcript(await all(events)).slice(0, 2)).toEqual(['model first:8b', 'fallback second:8b']);
  });

  it('never throws, not even when the candidates cannot be had', async () => {
    const chat = chatWith([], {
      candidates: async () => {
        throw new Error('disk on fire');
      },
    });
    expect(await all(ask(chat))).toMatchObject([{ type: 'error', error: { code: 'internal' } }]);
  });
});

describe('deadlines', () => {
  it('end a silence before the first token, and the request with it', async () => {
    server.replies.push({ trouble: 'silence' }, { trouble: 'silence' });
    const chat = chatWith([FIRST, SECOND], { deadlines: () => dead });
    const events = await all(ask(chat));
    expect(transcript(events)).toEqual(['model first:8b', 'fallback second:8b', 'error model_timeout']);
    expect(events.at(-1)).toMatchObject({
      error: { message: expect.stringContaining('models.firstTokenSeconds') },
    });
    expect(await (await server.arrival('/api/chat', 1)).left).toBe(true);
    expect(await (await server.arrival('/api/chat', 2)).left).toBe(true);
    expect(gate.full()).toBe(false);
  });

  it('end a silence in the middle', async () => {
    server.replies.push({ text: 'Par', trouble: 'silence' }, { text: 'Paris' });
    const chat = chatWith([FIRST, SECOND], { deadlines: () => patient });
    expect(transcript(await all(ask(chat)))).toEqual([
      'model first:8b',
      'text Par',
      'reset model_timeout',
      'fallback second:8b',
      'text Paris',
      'finish stop',
    ]);
    expect(await (await server.arrival('/api/chat')).left).toBe(true);
  });

  it('count reasoning as life, and nothing at all as silence', async () => {
    const nothing = Array.from({ length: 5 }, () => '');
    server.replies.push({ thinking: ['Hm.'], text: [...nothing], trouble: 'silence' });
    const chat = chatWith([FIRST], { deadlines: () => ({ firstTokenMs: 60_000, silenceMs: 50 }) });
    const events = await all(ask(chat));
    expect(events.at(-1)).toMatchObject({
      error: { code: 'model_timeout', message: expect.stringContaining('models.silenceSeconds') },
    });
  });

  it('do not run while whoever reads is busy', async () => {
    server.replies.push({ text: ['a', 'b', 'c'] });
    const seen: ChatEvent[] = [];
    for await (const event of ask(chatWith([FIRST], { deadlines: () => patient }))) {
      seen.push(event);
      if (event.type === 'text') await new Promise((resolve) => setTimeout(resolve, 80));
    }
    expect(transcript(seen)).toEqual(['model first:8b', 'text abc', 'finish stop']);
  });
});

describe('an answer without end', () => {
  it('is ended at what the profile allows, and the model hung up on', async () => {
    server.replies.push({ text: ['one two three ', 'four five six seven '], trouble: 'endless' });
    const events = await all(ask(chatWith([FIRST])));
    expect(events.at(-1)).toMatchObject({ type: 'finish', reason: 'length' });
    const characters = events.reduce(
      (sum, event) => sum + (event.type === 'text' ? event.delta.length : 0),
      0,
    );
    expect(characters).toBeLessThan(2_048 * 12 + 100);
    expect(await (await server.arrival('/api/chat')).left).toBe(true);
  });

  it('of reasoning alone is a failure', async () => {
    expect(await answer([FIRST], { thinking: ['I wonder and wonder. '], trouble: 'endless' })).toEqual([
      'model first:8b',
      'error model_failed',
    ]);
  });

  it('of a tiny model that goes round in circles is ended early', async () => {
    server.replies.push({ text: ['The answer', ' is that', ' the answer is that '], trouble: 'endless' });
    const events = await all(ask(chatWith([TINY])));
    expect(events.at(-1)).toMatchObject({ type: 'finish', reason: 'repetition' });
    expect(transcript(events).join().length).toBeLessThan(1_000);
    expect(await (await server.arrival('/api/chat')).left).toBe(true);
  });
});

describe('stopping', () => {
  it('ends an answer at once, and the request with it', async () => {
    server.replies.push({ text: 'on ', trouble: 'endless' });
    const stop = new AbortController();
    const seen: ChatEvent[] = [];
    for await (const event of ask(chatWith([FIRST, SECOND]), 'Hello', stop.signal)) {
      seen.push(event);
      if (event.type === 'text') stop.abort();
    }
    expect(seen.at(-1)).toMatchObject({ type: 'error', error: { code: 'stopped' } });
    expect(seen.filter(({ type }) => type === 'model')).toHaveLength(1);
    expect(await (await server.arrival('/api/chat')).left).toBe(true);
    expect(gate.full()).toBe(false);
  });

  it('ends a wait for the first token', async () => {
    server.replies.push({ trouble: 'silence' });
    const stop = new AbortController();
    const events = all(ask(chatWith([FIRST]), 'Hello', stop.signal));
    await server.arrival('/api/chat');
    stop.abort();
    expect(transcript(await events)).toEqual(['model first:8b', 'error stopped']);
  });

  it('before it began asks nobody', async () => {
    expect(transcript(await all(ask(chatWith([FIRST]), 'Hello', AbortSignal.abort())))).toEqual([
      'error stopped',
    ]);
    expect(server.chats()).toEqual([]);
  });

  it('by going away hangs up and gives the place back', async () => {
    limit = 1;
    server.replies.push({ text: 'on ', trouble: 'endless' });
    for await (const event of ask(chatWith([FIRST]))) if (event.type === 'text') break;
    expect(await (await server.arrival('/api/chat')).left).toBe(true);
    expect(gate.full()).toBe(false);
  });
});

describe('places', () => {
  it('are given in the order in which they were asked for', async () => {
    limit = 1;
    const open: (() => void)[] = [];
    server.reply = (body) => ({
      text: body.messages.at(-1)?.content ?? '',
      before: () => new Promise((resolve) => open.push(resolve)),
    });
    const chat = chatWith([FIRST]);
    const order: string[] = [];
    const asked: Promise<string[]>[] = [];
    for (const name of ['one', 'two', 'three']) {
      asked.push(
        all(ask(chat, name)).then((events) => {
          order.push(name);
          return transcript(events);
        }),
      );
      await expect.poll(() => server.chats().length + gate.waiting()).toBe(asked.length);
    }
    for (const nth of [1, 2, 3]) {
      await expect.poll(() => open.length).toBe(nth);
      expect(server.chats()).toHaveLength(nth);
      open[nth - 1]?.();
    }
    const [one, two] = await Promise.all(asked);
    expect(order).toEqual(['one', 'two', 'three']);
    expect(one).toEqual(['model first:8b', 'text one', 'finish stop']);
    expect(two).toEqual(['waiting for a free place', 'model first:8b', 'text two', 'finish stop']);
  });

  it('grow and shrink with the configuration; who stops waiting leaves the queue', async () => {
    limit = 1;
    const signal = new AbortController().signal;
    const first = await gate.acquire(signal);
    const stop = new AbortController();
    const leaves = gate.acquire(stop.signal);
    const second = gate.acquire(signal);
    const third = gate.acquire(signal);
    expect(gate.waiting()).toBe(3);
    stop.abort();
    await expect(leaves).rejects.toMatchObject({ code: 'stopped' });

    limit = 2;
    gate.changed();
    const releaseSecond = await second;
    expect(gate.waiting()).toBe(1);
    limit = 1;
    first();
    first();
    expect(gate.waiting()).toBe(1);
    releaseSecond();
    (await third)();
    expect(gate.full()).toBe(false);
  });
});

describe('no model', () => {
  it('is said, with the command that gets one', async () => {
    expect(await all(ask(chatWith([])))).toMatchObject([
      {
        type: 'error',
        error: { code: 'model_none', message: expect.stringContaining('kimi models pull recommended') },
      },
    ]);
  });

  it('yet is waited for while one is on its way', async () => {
    const steps = [10, 60, 100];
    const chat = chatWith([FIRST], {
      candidates: async () => (steps.length > 0 ? [] : [await provider.chat(FIRST)]),
      waiting: async () => ({
        progress: { what: 'the starter', done: steps.shift() ?? 0, total: 100 },
        changed: Promise.resolve(),
      }),
    });
    const events = await all(ask(chat));
    expect(events.flatMap((event) => (event.type === 'waiting' ? [event.progress.done] : []))).toEqual([
      10, 60, 100,
    ]);
    expect(transcript(events).slice(-3)).toEqual(['model first:8b', 'text You said: Hello', 'finish stop']);
  });

  it('is not waited for once stopped', async () => {
    const stop = new AbortController();
    const chat = chatWith([], {
      waiting: async () => ({ progress: { what: 'it', done: 0 }, changed: new Promise<void>(() => {}) }),
    });
    const seen: ChatEvent[] = [];
    for await (const event of ask(chat, 'Hello', stop.signal)) {
      seen.push(event);
      stop.abort();
    }
    expect(transcript(seen)).toEqual(['waiting for it', 'error stopped']);
  });
});

describe('the guard against repetition', () => {
  const looped = (text: string, size = 7) => {
    const guard = createRepetitionGuard();
    for (let at = 0; at < text.length; at += size) if (guard.push(text.slice(at, at + size))) return true;
    return false;
  };

  it('finds loops, long ones and numbered ones too', () => {
    const paragraph = `${Array.from({ length: 30 }, (_, index) => `word${'abcdefghij'[index % 10]}${index}`).join(' ')}. `;
    expect(looped('ha '.repeat(150))).toBe(true);
    expect(looped(`A start. ${'I am a model. I can help. '.repeat(12)}`)).toBe(true);
    expect(looped(Array.from({ length: 30 }, (_, i) => `${i}. The apple is red.\n`).join(''))).toBe(true);
    expect(looped(paragraph.repeat(4), 64)).toBe(true);
  });

  it('lets lists, tables, rules, rhymes and numbers pass', () => {
    const numbers = Array.from({ length: 200 }, (_, index) => index + 1);
    expect(looped(numbers.join(', '))).toBe(false);
    expect(looped(numbers.join('\n'))).toBe(false);
    expect(looped(`Title\n${'-'.repeat(80)}\n${'='.repeat(120)}\n`)).toBe(false);
    expect(
      looped(
        `| a | b | c |\n|---|---|---|\n${numbers
          .slice(0, 12)
          .map((n) => `| ${n} | x${n * n} | ${'abcdefghijkl'[n - 1]} |\n`)
          .join('')}`,
      ),
    ).toBe(false);
    expect(
      looped(
        'Row, row, row your boat, gently down the stream. Merrily, merrily, merrily, merrily, life is but a dream. '.repeat(
          2,
        ),
      ),
    ).toBe(false);
  });
});

describe('the filter of reasoning', () => {
  const filtered = (text: string, size: number) => {
    const filter = createThinkFilter();
    let out = '';
    for (let at = 0; at < text.length; at += size) out += filter.push(text.slice(at, at + size));
    return out + filter.flush();
  };

  it.each([
    ['Paris', 'Paris'],
    ['  indented', '  indented'],
    ['<think>Hm</think>Paris', 'Paris'],
    ['\n<think>\nHm\n</think>\n\nParis\n', 'Paris\n'],
    ['<thinking>a</thinking> <think>b < c</think> Paris', 'Paris'],
    ['<think>never closed', ''],
    ['<thin', '<thin'],
    ['<thin air>', '<thin air>'],
    ['In XML, <think>this</think> is text', 'In XML, <think>this</think> is text'],
    ['', ''],
  ])('%j is %j however it is cut', (text, answerText) => {
    for (let size = 1; size <= Math.max(text.length, 1); size++)
      expect(filtered(text, size)).toBe(answerText);
  });
});
