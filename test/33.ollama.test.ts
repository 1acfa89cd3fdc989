import type { LanguageModelV3CallOptions, LanguageModelV3StreamPart } from '@ai-sdk/provider';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { KimiError } from '../src/errors.ts';
import type { ModelProvider, Progress } from '../src/models/model.ts';
import { createOllamaProvider } from '../src/models/ollama.ts';
import { type Reply, type StandIn, type StandInModel, startOllama } from './support/ollama.ts';

const GB = 1024 ** 3;
const log = pino({ level: 'silent' });
const models: StandInModel[] = [
  { name: 'qwen3:8b', family: 'qwen3', size: 5 * GB, capabilities: ['completion', 'tools', 'thinking'] },
  { name: 'llava:7b', capabilities: ['completion', 'vision'], contextLength: 4_096 },
  { name: 'nomic-embed-text:latest', capabilities: ['embedding'], parameterSize: '137M' },
  { name: 'kimi-k2.5:cloud', size: 384, remoteHost: 'https://ollama.example' },
];

let server: StandIn;
let provider: ModelProvider;
let baseUrl: string;

beforeEach(async () => {
  server = await startOllama([...models]);
  baseUrl = server.url;
  provider = createOllamaProvider({
    settings: () => ({ baseUrl, keepAlive: '7m' }),
    log,
    memory: () => 64 * GB,
  });
});
afterEach(async () => {
  await provider.close();
  await server.close();
});

const hello: LanguageModelV3CallOptions = {
  prompt: [{ role: 'user', content: [{ type: 'text', text: 'Hello' }] }],
};

async function ask(
  call: LanguageModelV3CallOptions = hello,
  model = 'qwen3:8b',
): Promise<LanguageModelV3StreamPart[]> {
  const { language } = await provider.chat(model);
  const { stream } = await language.doStream(call);
  const parts: LanguageModelV3StreamPart[] = [];
  for await (const part of stream) parts.push(part);
  return parts;
}

function textOf(parts: readonly LanguageModelV3StreamPart[], type = 'text-delta'): string {
  return parts.map((part) => (part.type === type && 'delta' in part ? part.delta : '')).join('');
}

async function failure(reply: Reply): Promise<KimiError> {
  server.replies.push(reply);
  const last = (await ask()).at(-1);
  expect(last?.type).toBe('error');
  const error = last?.type === 'error' ? last.error : undefined;
  expect(error).toBeInstanceOf(KimiError);
  return error as KimiError;
}

describe('what is there', () => {
  it('says what each model can do', async () => {
    const list = await provider.list();
    expect(
      list.map(({ ref, can, remote }) => [ref, can.chat, can.embed, can.tools, can.images, remote]),
    ).toEqual([
      ['ollama/qwen3:8b', true, false, true, false, undefined],
      ['ollama/llava:7b', true, false, false, true, undefined],
      ['ollama/nomic-embed-text:latest', false, true, false, false, undefined],
      ['ollama/kimi-k2.5:cloud', true, false, true, false, true],
    ]);
    expect(list[0]).toMatchObject({ family: 'qwen3', parameters: 8e9, bytes: 5 * GB, window: 131_072 });
    expect(list[3]?.bytes).toBeUndefined();
    expect(provider.status?.()).toEqual({ on: true, detail: `4 models at ${baseUrl}` });
  });

  it('looks at each model once, and again when it has changed', async () => {
    const shows = () => server.requests.filter(({ path }) => path === '/api/show').length;
    await provider.list();
    await provider.list();
    expect(shows()).toBe(4);
    server.models[0] = { ...models[0], name: 'qwen3:8b', capabilities: ['completion'] };
    expect((await provider.list())[0]?.can.tools).toBe(false);
    expect(shows()).toBe(5);
  });

  it('guesses where it cannot look', async () => {
    server.trouble.set('/api/show', { status: 500, error: 'no' });
    server.models.push({ name: 'all-minilm:latest', family: 'bert' });
    const can = Object.fromEntries((await provider.list()).map((model) => [model.name, model.can]));
    expect(can['qwen3:8b']).toEqual({ chat: true, embed: false, tools: false, images: false });
    expect(can['all-minilm:latest']).toMatchObject({ chat: false, embed: true });
  });

  it('is empty, and never rejects, when nobody answers, answers nonsense or never does', async () => {
    for (const trouble of [{ status: 500, error: 'no' }, 'silence'] as const) {
      server.trouble.set('/api/tags', trouble);
      expect(await provider.list()).toEqual([]);
      expect(provider.status?.()?.on).toBe(false);
    }
    baseUrl = 'http://127.0.0.1:1';
    expect(await provider.list()).toEqual([]);
    expect(provider.status?.()).toEqual({ on: false, detail: 'does not answer at http://127.0.0.1:1' });
  });

  it('says how to get a model that is not there, and that one cannot chat', async () => {
    await expect(provider.chat('mistral')).rejects.toMatchObject({
      code: 'not_found',
      message: expect.stringContaining('kimi models pull ollama/mistral'),
    });
    await expect(provider.chat('nomic-embed-text')).rejects.toMatchObject({ code: 'invalid_argument' });
    baseUrl = 'http://127.0.0.1:1';
    await expect(provider.chat('mistral')).rejects.toMatchObject({ code: 'network', retryable: true });
  });
});

describe('an answer', () => {
  it('streams reasoning apart from text, and says how it ended and what it took', async () => {
    server.replies.push({
      thinking: ['Let me ', 'see.'],
      text: ['Par', 'is.'],
      usage: { input: 21, output: 4 },
    });
    const parts = await ask();
    expect(parts.map(({ type }) => type)).toEqual([
      'stream-start',
      'reasoning-start',
      'reasoning-delta',
      'reasoning-delta',
      'reasoning-end',
      'text-start',
      'text-delta',
      'text-delta',
      'text-end',
      'finish',
    ]);
    expect(textOf(parts)).toBe('Paris.');
    expect(textOf(parts, 'reasoning-delta')).toBe('Let me see.');
    expect(parts.at(-1)).toMatchObject({
      finishReason: { unified: 'stop', raw: 'stop' },
      usage: { inputTokens: { total: 21 }, outputTokens: { total: 4 } },
    });
    expect(server.chats()[0]).toMatchObject({ think: true, keep_alive: '7m', model: 'qwen3:8b' });
  });

  it('says when it was cut at its greatest length', async () => {
    server.replies.push({ text: 'Once', doneReason: 'length' });
    expect((await ask()).at(-1)).toMatchObject({ finishReason: { unified: 'length' } });
  });

  it('does not ask a model to reason that cannot', async () => {
    await ask(hello, 'llava:7b');
    expect(server.chats()[0]).not.toHaveProperty('think');
  });

  it('sends what the call asks for, else what the profile says', async () => {
    await ask();
    await ask({
      ...hello,
      temperature: 0.1,
      topP: 0.5,
      topK: 7,
      maxOutputTokens: 99,
      stopSequences: ['END'],
      seed: 3,
    });
    expect(server.chats()[0]?.options).toEqual({
      num_ctx: 16_384,
      num_predict: 4_096,
      temperature: 0.6,
      top_p: 0.95,
    });
    expect(server.chats()[1]?.options).toEqual({
      num_ctx: 16_384,
      num_predict: 99,
      temperature: 0.1,
      top_p: 0.5,
      top_k: 7,
      stop: ['END'],
      seed: 3,
    });
  });

  it('obeys a JSON schema', async () => {
    const schema = { type: 'object', properties: { city: { type: 'string' } } } as const;
    server.replies.push({ text: '{"city":"Paris"}' }, { text: '{}' });
    await ask({ ...hello, responseFormat: { type: 'json', schema } });
    await ask({ ...hello, responseFormat: { type: 'json' } });
    expect(server.chats().map(({ format }) => format)).toEqual([schema, 'json']);
  });

  it('calls tools, and is told their results', async () => {
    const tools: LanguageModelV3CallOptions['tools'] = [
      { type: 'function', name: 'add', description: 'Adds', inputSchema: { type: 'object' } },
      { type: 'function', name: 'subtract', inputSchema: { type: 'object' } },
    ];
    server.replies.push({
      toolCalls: [
        { name: 'add', arguments: { a: 1, b: 2 } },
        { name: 'add', arguments: {} },
      ],
    });
    const parts = await ask({ ...hello, tools });
    const calls = parts.flatMap((part) => (part.type === 'tool-call' ? [part] : []));
    expect(calls.map(({ toolName, input }) => [toolName, input])).toEqual([
      ['add', '{"a":1,"b":2}'],
      ['add', '{}'],
    ]);
    expect(new Set(calls.map(({ toolCallId }) => toolCallId)).size).toBe(2);
    expect(parts.at(-1)).toMatchObject({ finishReason: { unified: 'tool-calls' } });

    const toolCallId = calls[0]?.toolCallId ?? '';
    await ask({
      tools,
      toolChoice: { type: 'tool', toolName: 'subtract' },
      prompt: [
        { role: 'system', content: 'Be brief' },
        ...hello.prompt,
        {
          role: 'assistant',
          content: [
            { type: 'reasoning', text: 'hm' },
            { type: 'text', text: 'Adding' },
            { type: 'tool-call', toolCallId, toolName: 'add', input: { a: 1, b: 2 } },
          ],
        },
        {
          role: 'tool',
          content: [
            { type: 'tool-result', toolCallId, toolName: 'add', output: { type: 'json', value: { sum: 3 } } },
            { type: 'tool-result', toolCallId, toolName: 'add', output: { type: 'error-text', value: 'no' } },
            { type: 'tool-result', toolCallId, toolName: 'add', output: { type: 'execution-denied' } },
          ],
        },
      ],
    });
    const [first, second] = server.chats();
    expect(first?.tools?.map((tool) => tool.function.name)).toEqual(['add', 'subtract']);
    expect(second?.tools?.map((tool) => tool.function.name)).toEqual(['subtract']);
    expect(second?.messages).toEqual([
      { role: 'system', content: 'Be brief' },
      { role: 'user', content: 'Hello' },
      {
        role: 'assistant',
        content: 'Adding',
        tool_calls: [{ function: { name: 'add', arguments: { a: 1, b: 2 } } }],
      },
      { role: 'tool', tool_name: 'add', content: '{"sum":3}' },
      { role: 'tool', tool_name: 'add', content: 'Error: no' },
      { role: 'tool', tool_name: 'add', content: 'The person did not allow this.' },
    ]);
  });

  it('sees images however they are handed over, and takes no file name for one', async () => {
    const bytes = new Uint8Array([137, 80, 78, 71]);
    const base64 = Buffer.from(bytes).toString('base64');
    const path = Buffer.from('/etc/hostname', 'utf8').toString('base64');
    const file = (data: Uint8Array | string | URL) =>
      ({ type: 'file', mediaType: 'image/png', data }) as const;
    await ask(
      {
        prompt: [
          {
            role: 'user',
            content: [
              { type: 'text', text: 'What is this?' },
              file(bytes),
              file(base64),
              file(new URL(`data:image/png;base64,${base64}`)),
              file(path),
            ],
          },
        ],
      },
      'llava:7b',
    );
    expect(server.chats()[0]?.messages[0]?.images).toEqual([base64, base64, base64, path]);

    for (const part of [file(new URL('https://example.org/a.png')), { ...file(bytes), mediaType: 'a/b' }]) {
      const parts = await ask({ prompt: [{ role: 'user', content: [part] }] });
      expect(parts.at(-1)).toMatchObject({ type: 'error', error: { code: 'invalid_argument' } });
    }
  });

  it('can be had in one piece', async () => {
    const { language } = await provider.chat('qwen3:8b');
    server.replies.push(
      { thinking: ['hm'], text: ['Par', 'is'] },
      { trouble: 'status', status: 500, error: 'out of memory' },
      { text: 'Par', trouble: 'cut' },
    );
    expect(await language.doGenerate(hello)).toMatchObject({
      content: [
        { type: 'reasoning', text: 'hm' },
        { type: 'text', text: 'Paris' },
      ],
      finishReason: { unified: 'stop' },
    });
    for (const _ of [1, 2]) {
      await expect(language.doGenerate(hello)).rejects.toMatchObject({ code: 'model_failed' });
    }
  });
});

describe('the window', () => {
  const windowFor = async (memory: number, model: string, url = baseUrl) => {
    const other = createOllamaProvider({
      settings: () => ({ baseUrl: url, keepAlive: '5m' }),
      log,
      memory: () => memory,
    });
    return (await other.chat(model)).window;
  };

  it('is what the profile, the model and the memory allow, whichever is least', async () => {
    expect(await windowFor(64 * GB, 'qwen3:8b')).toBe(16_384);
    expect(await windowFor(64 * GB, 'llava:7b')).toBe(4_096);
    // 8 GB × ¾ − ½ GB − 5 GB leave ½ GB, and a token of this model takes 128 KiB.
    expect(await windowFor(8 * GB + GB / 3, 'qwen3:8b')).toBe(6_144);
  });

  it('is the same for each request, or Ollama would load the model anew', async () => {
    await ask();
    await ask({ ...hello, maxOutputTokens: 1 });
    expect(new Set(server.chats().map(({ options }) => options?.num_ctx)).size).toBe(1);
  });
});

describe('trouble', () => {
  it.each([
    [{ trouble: 'status', status: 500, error: 'CUDA error' }, 'model_failed', /status 500: CUDA error/],
    [
      { trouble: 'status', status: 404, error: 'model not found' },
      'not_found',
      /kimi models pull ollama\/qwen3:8b/,
    ],
    [{ trouble: 'status', status: 401, error: 'unauthorized' }, 'unauthorized', /sign/i],
    [{ text: 'Par', trouble: 'cut' }, 'model_failed', /broke off/],
    [{ text: 'Par', trouble: 'unfinished' }, 'model_failed', /broke off/],
    [{ text: 'Par', trouble: 'garbage' }, 'model_failed', /not JSON/],
    [
      { text: 'Par', trouble: 'error-line', error: 'runner has stopped' },
      'model_failed',
      /runner has stopped/,
    ],
  ] satisfies [Reply, string, RegExp][])('%o ends the stream with an error', async (reply, code, message) => {
    const error = await failure(reply);
    expect(error.code).toBe(code);
    expect(error.message).toMatch(message);
  });

  it('hands on how long to wait', async () => {
    const error = await failure({
      trouble: 'status',
      status: 429,
      error: 'busy',
      headers: { 'retry-after': '3' },
    });
    expect(error).toMatchObject({ code: 'rate_limited', retryable: true, retryAfterMs: 3_000 });
  });

  it('says so when nobody answers any more', async () => {
    const { language } = await provider.chat('qwen3:8b');
    await server.close();
    const { stream } = await language.doStream(hello);
    const parts: LanguageModelV3StreamPart[] = [];
    for await (const part of stream) parts.push(part);
    expect(parts.at(-1)).toMatchObject({
      type: 'error',
      error: { code: 'network', message: expect.stringContaining('ollama serve') },
    });
    server = await startOllama();
  });

  it('shows every piece of an answer that comes doubled', async () => {
    server.replies.push({ text: ['a', 'b'], trouble: 'duplicates' });
    expect(textOf(await ask())).toBe('aabb');
  });

  it.each(['silence', 'endless'] as const)('hangs up on %s when stopped', async (trouble) => {
    server.replies.push({ text: ['on '], trouble });
    const stop = new AbortController();
    const { language } = await provider.chat('qwen3:8b');
    const { stream } = await language.doStream({ ...hello, abortSignal: stop.signal });
    const parts: LanguageModelV3StreamPart[] = [];
    for await (const part of stream) {
      parts.push(part);
      if (part.type === 'text-delta') stop.abort();
    }
    expect(parts.at(-1)).toMatchObject({ type: 'error', error: { code: 'stopped' } });
    expect(await (await server.arrival('/api/chat')).left).toBe(true);
  });

  it('hangs up before the first token too, and when the reader goes away', async () => {
    server.replies.push({ trouble: 'silence' }, { text: ['on '], trouble: 'endless' });
    const { language } = await provider.chat('qwen3:8b');
    const stop = new AbortController();
    const { stream } = await language.doStream({ ...hello, abortSignal: stop.signal });
    const last = (async () => {
      const parts: LanguageModelV3StreamPart[] = [];
      for await (const part of stream) parts.push(part);
      return parts.at(-1);
    })();
    const silent = await server.arrival('/api/chat');
    stop.abort();
    expect(await last).toMatchObject({ type: 'error', error: { code: 'stopped' } });
    expect(await silent.left).toBe(true);

    for await (const part of (await language.doStream(hello)).stream) {
      if (part.type === 'text-delta') break;
    }
    expect(await (await server.arrival('/api/chat', 2)).left).toBe(true);
  });

  it('does not print what it was sent', async () => {
    const printed: unknown[] = [];
    const { log: toLog, warn } = console;
    console.log = console.warn = (...args: unknown[]) => printed.push(args);
    try {
      await failure({ text: 'secret', trouble: 'garbage' });
      await failure({ trouble: 'status', status: 502, headers: { 'content-type': 'text/html' } });
    } finally {
      Object.assign(console, { log: toLog, warn });
    }
    expect(printed).toEqual([]);
  });
});

describe('fetching a model', () => {
  it('shows its progress as one bar, and knows the model then', async () => {
    server.pull = function* () {
      yield { status: 'pulling manifest' };
      yield { status: 'pulling a', digest: 'a', total: 100, completed: 50 };
      yield { status: 'pulling b', digest: 'b', total: 10 };
      yield { status: 'pulling a', digest: 'a', total: 100, completed: 100 };
      yield { status: 'pulling b', digest: 'b', total: 10, completed: 10 };
      yield { status: 'success' };
    };
    const seen: Progress[] = [];
    const info = await provider.pull?.('gemma3:4b', (p) => seen.push(p), new AbortController().signal);
    expect(info).toMatchObject({ ref: 'ollama/gemma3:4b', can: { chat: true } });
    expect(seen.map(({ done, total }) => [done, total])).toEqual([
      [0, undefined],
      [50, 100],
      [50, 110],
      [100, 110],
      [110, 110],
      [110, 110],
    ]);
  });

  it('says when the library has no such model', async () => {
    server.pull = () => [{ error: 'pull model manifest: file does not exist' }];
    await expect(provider.pull?.('gema3', () => {}, new AbortController().signal)).rejects.toMatchObject({
      code: 'not_found',
      message: expect.stringContaining('gema3'),
    });
  });

  it('can be stopped', async () => {
    const stop = new AbortController();
    server.pull = async function* () {
      yield { status: 'pulling a', digest: 'a', total: 100, completed: 50 };
      await new Promise(() => {});
    };
    const pulled = provider.pull?.('gemma3:4b', () => stop.abort(), stop.signal);
    await expect(pulled).rejects.toMatchObject({ code: 'stopped' });
    expect(await (await server.arrival('/api/pull')).left).toBe(true);
  });

  it('says when it breaks off', async () => {
    server.pull = () => [{ status: 'pulling manifest' }];
    await expect(provider.pull?.('gemma3:4b', () => {}, new AbortController().signal)).rejects.toMatchObject({
      code: 'model_failed',
      retryable: true,
    });
  });
});
