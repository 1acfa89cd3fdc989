import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { cp, mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { LanguageModelV3CallOptions, LanguageModelV3StreamPart } from '@ai-sdk/provider';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { configSchema } from '../src/config.ts';
import { KimiError } from '../src/errors.ts';
import { createLog, type Log } from '../src/log.ts';
import { computeThreads, usableCores } from '../src/models/cores.ts';
import { createEngineClient } from '../src/models/embedded/client.ts';
import { planContext } from '../src/models/embedded/plan.ts';
import { createEmbeddedProvider, type EmbeddedProvider } from '../src/models/embedded/provider.ts';
import { SequencePool } from '../src/models/embedded/sequences.ts';
import { Slot } from '../src/models/embedded/slot.ts';
import { readGguf } from '../src/models/gguf.ts';
import type { ChatModel } from '../src/models/model.ts';
import { realChatModel, realEmbeddingModel } from './support/models.ts';
import { writeRandomModel } from './support/random-model.ts';

type Settings = Parameters<typeof createEmbeddedProvider>[0]['settings'];

const silent = createLog({ level: 'silent', secrets: () => [] });

function settingsFor(path: string, changes: Partial<ReturnType<Settings>> = {}): Settings {
  const settings = {
    ...configSchema.parse({ models: { providers: { embedded: { path, gpu: false } } } }).models.providers
      .embedded,
    ...changes,
  };
  return () => settings;
}

function question(text: string, more: Partial<LanguageModelV3CallOptions> = {}): LanguageModelV3CallOptions {
  return { prompt: [{ role: 'user', content: [{ type: 'text', text }] }], ...more };
}

/** Reads an answer to its end, calling `onText` after each piece of text. */
async function read(
  model: ChatModel,
  call: LanguageModelV3CallOptions,
  onText: (text: string) => void = () => undefined,
) {
  const { stream } = await model.language.doStream(call);
  const parts: LanguageModelV3StreamPart[] = [];
  let text = '';
  for await (const part of stream) {
    parts.push(part);
    if (part.type !== 'text-delta') continue;
    text += part.delta;
    onText(text);
  }
  const last = parts.at(-1);
  return {
    text,
    types: parts.map((part) => part.type),
    finish: last?.type === 'finish' ? last : undefined,
    error: last?.type === 'error' ? (last.error as KimiError) : undefined,
  };
}

/** The process is there or is being buried by its parent; never a zombie that stays. */
async function gone(pid: number | undefined): Promise<void> {
  if (pid === undefined) throw new Error('there was no process');
  for (const deadline = Date.now() + 20_000; Date.now() < deadline; ) {
    try {
      process.kill(pid, 0);
    } catch {
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`process ${pid} is still there`);
}

describe('cores', () => {
  const files = (texts: Record<string, string>) => ({
    parallelism: 8,
    read: (path: string) => texts[path],
  });

  test('without control groups: what the scheduler grants', () => {
    expect(usableCores(files({}))).toBe(8);
  });

  test('v2: the tightest quota on the way up, rounded down', () => {
    const quotas = {
      '/proc/self/cgroup': '0::/system.slice/kimi.service\n',
      '/sys/fs/cgroup/system.slice/kimi.service/cpu.max': 'max 100000\n',
      '/sys/fs/cgroup/system.slice/cpu.max': '350000 100000\n',
    };
    expect(usableCores(files(quotas))).toBe(3);
  });

  test('v2 in a container, where only the root is seen', () => {
    expect(
      usableCores(files({ '/proc/self/cgroup': '0::/\n', '/sys/fs/cgroup/cpu.max': '200000 100000' })),
    ).toBe(2);
  });

  test('a quota below one core still gives one', () => {
    expect(
      usableCores(files({ '/proc/self/cgroup': '0::/', '/sys/fs/cgroup/cpu.max': '50000 100000' })),
    ).toBe(1);
  });

  test('v1: quota and period in files of their own, -1 for none', () => {
    const at = '/sys/fs/cgroup/cpu,cpuacct';
    const group = { '/proc/self/cgroup': '5:memory:/docker/x\n4:cpu,cpuacct:/docker/x\n' };
    const unlimited = { [`${at}/cpu.cfs_quota_us`]: '-1\n', [`${at}/cpu.cfs_period_us`]: '100000\n' };
    const limited = { [`${at}/cpu.cfs_quota_us`]: '400000\n', [`${at}/cpu.cfs_period_us`]: '100000\n' };
    expect(usableCores(files({ ...group, ...unlimited }))).toBe(8);
    expect(usableCores(files({ ...group, ...limited }))).toBe(4);
  });

  test('a quota above the cores there are changes nothing', () => {
    expect(
      usableCores(files({ '/proc/self/cgroup': '0::/', '/sys/fs/cgroup/cpu.max': '1600000 100000' })),
    ).toBe(8);
  });
});

test('threads: one core is left free, the configured number is obeyed up to the cores', () => {
  expect([1, 2, 8].map((cores) => computeThreads(undefined, cores))).toEqual([1, 1, 7]);
  expect([1, 2, 3].map((configured) => computeThreads(configured, 2))).toEqual([1, 2, 2]);
});

describe('sequences', () => {
  const never = new AbortController().signal;

  test('the one that saves most is taken; where none saves, the least recently used', async () => {
    const pool = new SequencePool(['a', 'b', 'c']);
    const saves = (tokens: Record<string, number>) => (name: string) => tokens[name] ?? 0;
    expect(await pool.take(saves({ b: 500, c: 90 }), never)).toBe('b');
    pool.release('b');
    expect(await pool.take(saves({ a: 100, b: 110, c: 100 }), never)).toBe('a');
    pool.release('a');
    expect(await pool.take(saves({ a: -5, b: -90, c: -700 }), never)).toBe('c');
  });

  test('who waits is served in order, and leaves the line when aborted', async () => {
    const pool = new SequencePool(['only']);
    const order: string[] = [];
    await pool.take(() => 0, never);
    const abort = new AbortController();
    const impatient = pool.take(() => 0, abort.signal);
    const patient = pool.take(() => 0, never).then(() => order.push('patient'));
    const last = pool.take(() => 0, never).then(() => order.push('last'));
    abort.abort(new Error('enough'));
    await expect(impatient).rejects.toThrow('enough');
    pool.release('only');
    await patient;
    pool.release('only');
    await last;
    expect(order).toEqual(['patient', 'last']);
  });
});

test('a slot is shared by users of the same and changes hands only when they are done', async () => {
  const events: string[] = [];
  const slot = new Slot<string>(async (value) => void events.push(`drop ${value}`));
  const use = (key: string, until: Promise<unknown>) =>
    slot.use(
      key,
      async () => {
        events.push(`load ${key}`);
        return key;
      },
      async () => until,
    );
  let finish = () => {};
  const held = new Promise<void>((resolve) => {
    finish = resolve;
  });
  const [one, two] = [use('a', held), use('a', held)];
  const other = use('b', Promise.resolve());
  const back = use('a', Promise.resolve());
  await new Promise((resolve) => setImmediate(resolve));
  expect(events).toEqual(['load a']);
  finish();
  await Promise.all([one, two, other, back]);
  expect(events).toEqual(['load a', 'drop a', 'load b', 'drop b', 'load a']);
});

test('a slot survives a load that fails', async () => {
  const slot = new Slot<string>(async () => undefined);
  const failing = slot.use(
    'a',
    () => Promise.reject(new Error('bad file')),
    async () => 'never',
  );
  await expect(failing).rejects.toThrow('bad file');
  expect(
    await slot.use(
      'a',
      async () => 'a',
      async (value) => value,
    ),
  ).toBe('a');
});

describe('on a model of random weights', () => {
  let folder: string;
  let provider: EmbeddedProvider;
  let model: ChatModel;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'kimi-embedded-'));
    await writeRandomModel(join(folder, 'random.gguf'));
    await writeRandomModel(join(folder, 'other.gguf'), { seed: 9, contextLength: 1_024 });
    await writeRandomModel(join(folder, 'cut.gguf'));
    await truncate(join(folder, 'cut.gguf'), 515_000);
    await writeFile(join(folder, 'junk.gguf'), 'GGUF but no more');
    await writeFile(join(folder, 'notes.txt'), 'not a model');
    provider = createEmbeddedProvider({ settings: settingsFor(folder), home: folder, log: silent });
    model = await provider.chat('random');
  });
  afterAll(async () => {
    await provider.close();
    await rm(folder, { recursive: true });
  });

  test('the folder is listed without the files that are no models, and without starting anything', async () => {
    const listed = await provider.list();
    expect(listed.map(({ ref }) => ref)).toEqual(['embedded/cut', 'embedded/other', 'embedded/random']);
    expect(listed[2]).toMatchObject({
      family: 'llama',
      window: 2_048,
      bytes: 520_992,
      can: { chat: true, embed: false, tools: false, images: false },
    });
    expect(provider.pid).toBeUndefined();
  });

  test('a model that is not there is said so', async () => {
    await expect(provider.chat('absent')).rejects.toMatchObject({ code: 'not_found' });
    await expect(provider.embedding('random')).rejects.toMatchObject({ code: 'not_found' });
  });

  test('an answer streams, counts its tokens, and ends where it is told to', async () => {
    let pieces = 0;
    const answer = await read(model, question('Say something', { maxOutputTokens: 40 }), () => pieces++);
    expect(answer.types.slice(0, 2)).toEqual(['stream-start', 'text-start']);
    expect(answer.types.slice(-2)).toEqual(['text-end', 'finish']);
    expect(pieces).toBeGreaterThan(10);
    expect(answer.finish?.finishReason).toEqual({ unified: 'length', raw: 'length' });
    expect(answer.finish?.usage.outputTokens.total).toBe(40);
    expect(answer.finish?.usage.inputTokens.total).toBeGreaterThan(20);
  });

  test('the same seed gives the same answer, another one another, and doGenerate gives what doStream does', async () => {
    const sampled = (seed: number) => question('Go', { maxOutputTokens: 30, temperature: 1, seed });
    const [one, two] = [await read(model, sampled(1)), await read(model, sampled(2))];
    const again = await model.language.doGenerate(sampled(1));
    expect(again.content).toEqual([{ type: 'text', text: one.text }]);
    expect(two.text).not.toBe(one.text);
  });

  test('a stop sequence ends the answer and is not part of it', async () => {
    const sampled = question('Go', { maxOutputTokens: 200, temperature: 1, seed: 3 });
    const { text } = await read(model, sampled);
    const stop = text.slice(60, 62);
    const answer = await read(model, { ...sampled, stopSequences: [stop] });
    expect(answer.finish?.finishReason).toEqual({ unified: 'stop', raw: 'stop' });
    expect(answer.text).toBe(text.slice(0, text.indexOf(stop)));
  });

  test('a schema is obeyed to the letter', async () => {
    const schema = {
      type: 'object',
      properties: {
        mood: { enum: ['good', 'bad'] },
        flags: { type: 'array', items: { type: 'boolean' }, maxItems: 3 },
      },
      required: ['mood', 'flags'],
      additionalProperties: false,
    } as const;
    const answer = await read(model, question('JSON please', { responseFormat: { type: 'json', schema } }));
    const value = JSON.parse(answer.text);
    expect(['good', 'bad']).toContain(value.mood);
    expect(value.flags.every((flag: unknown) => typeof flag === 'boolean')).toBe(true);
    expect(Object.keys(value).sort()).toEqual(['flags', 'mood']);
  });

  test('a prefix that a sequence still holds is not read again', async () => {
    const history: LanguageModelV3CallOptions['prompt'] = [
      {
        role: 'user',
        content: [{ type: 'text', text: 'The first question, long enough to be worth it. '.repeat(6) }],
      },
    ];
    const first = await read(model, { prompt: history, maxOutputTokens: 20 });
    const second = await read(model, {
      prompt: [
        ...history,
        { role: 'assistant', content: [{ type: 'text', text: first.text }] },
        { role: 'user', content: [{ type: 'text', text: 'And the second one?' }] },
      ],
      maxOutputTokens: 20,
    });
    const read1 = first.finish?.usage.inputTokens;
    const read2 = second.finish?.usage.inputTokens;
    expect(read2?.cacheRead).toBeGreaterThanOrEqual((read1?.total ?? 0) - 1);
    expect(read2?.noCache).toBeLessThan(100);
  });

  test('conversations that take turns keep their prefixes, although they begin alike', async () => {
    const shared = 'You are a patient assistant and answer in whole sentences. '.repeat(4);
    const prompts = ['x', 'y', 'z'].map((letter) => letter.repeat(300));
    const ask = async (text: string) => {
      const answer = await read(model, {
        prompt: [
          { role: 'system', content: shared },
          { role: 'user', content: [{ type: 'text', text }] },
        ],
        maxOutputTokens: 3,
      });
      return answer.finish?.usage.inputTokens.noCache;
    };
    for (const text of prompts) await ask(text);
    for (const text of prompts) expect(await ask(text)).toBeLessThan(20);
  });

  test('several answers are written at once; a short one among them need not wait for the long ones', async () => {
    // Every sequence has something to forget first.
    const ask = (text: string, maxOutputTokens: number, onText?: (text: string) => void) =>
      read(model, question(text, { maxOutputTokens, temperature: 1, seed: 1 }), onText);
    await Promise.all(['a', 'b', 'c', 'd'].map((letter) => ask(letter.repeat(400), 3)));
    const ended: string[] = [];
    const long = (name: string) =>
      new Promise<void>((begun) => {
        const answer = ask(`I am ${name}`, 400, () => begun());
        answers.push(answer.then(({ finish }) => ended.push(`${name} ${finish?.usage.outputTokens.total}`)));
      });
    const answers: Promise<unknown>[] = [];
    await Promise.all([long('one'), long('two'), long('three')]);
    await ask('I am brief', 10).then(() => ended.push('brief'));
    await Promise.all(answers);
    expect(ended[0]).toBe('brief');
    expect(ended.slice(1).sort()).toEqual(['one 400', 'three 400', 'two 400']);
  });

  test('a prompt is given up midway through reading it', async () => {
    const abort = new AbortController();
    const reading = read(model, question('y'.repeat(1_900), { abortSignal: abort.signal }));
    abort.abort();
    expect((await reading).error).toMatchObject({ code: 'stopped' });
    expect((await read(model, question('Next', { maxOutputTokens: 5 }))).finish).toBeDefined();
  });

  test('more requests than sequences wait in line and are all answered', async () => {
    const asked = Array.from({ length: 9 }, (_, index) =>
      read(model, question(`Number ${index}`, { maxOutputTokens: 10 })),
    );
    const answers = await Promise.all(asked);
    expect(answers.map(({ finish }) => finish?.finishReason.unified)).toEqual(Array(9).fill('length'));
  });

  test('aborted midway, it ends with an error part, and the sequence serves the next', async () => {
    const abort = new AbortController();
    const endless = question('Go on', { maxOutputTokens: 1_500, temperature: 1, abortSignal: abort.signal });
    const answer = await read(model, endless, (text) => text.length > 20 && abort.abort());
    expect(answer.error).toMatchObject({ code: 'stopped' });
    expect((await read(model, question('Next', { maxOutputTokens: 5 }))).finish).toBeDefined();
  });

  test('a reader who walks away ends the answer', async () => {
    const { stream } = await model.language.doStream(
      question('Go on', { maxOutputTokens: 1_500, temperature: 1 }),
    );
    const reader = stream.getReader();
    await reader.read();
    await reader.read();
    await reader.cancel();
    expect((await read(model, question('Next', { maxOutputTokens: 5 }))).finish).toBeDefined();
  });

  test('an answer that goes round in circles is ended, tellably', async () => {
    // A schema that allows the same again and again only is a loop whatever the weights say.
    const schema = { type: 'array', items: { const: 'again' }, minItems: 500 } as const;
    const loop = question('Go', { maxOutputTokens: 1_800, responseFormat: { type: 'json', schema } });
    const answer = await read(model, loop);
    expect(answer.finish?.finishReason).toEqual({ unified: 'stop', raw: 'repetition' });
  });

  test('an answer that fills the window ends as too long; a prompt that does is refused', async () => {
    const small = await provider.chat('other');
    const answer = await read(small, question('Go', { maxOutputTokens: 5_000, temperature: 1, seed: 4 }));
    expect(answer.finish?.finishReason.unified).toBe('length');
    const { inputTokens, outputTokens } = answer.finish?.usage ?? {};
    expect((inputTokens?.total ?? 0) + (outputTokens?.total ?? 0)).toBeLessThanOrEqual(small.window);
    const overfull = await read(small, question('x'.repeat(1_100)));
    expect(overfull.error).toMatchObject({ code: 'model_overflow' });
  });

  test('tokens are counted as the model counts them', async () => {
    expect(await model.countTokens?.('abc def')).toBe(7);
  });

  test('a cut file fails its request and nothing else', async () => {
    const answer = await read(await provider.chat('cut'), question('Hello'));
    expect(answer.error).toBeInstanceOf(KimiError);
    expect(answer.error).toMatchObject({ code: 'model_failed' });
    expect((await read(model, question('Still there?', { maxOutputTokens: 5 }))).finish).toBeDefined();
  });

  test('a file that is lost between listing and loading fails its request', async () => {
    await cp(join(folder, 'random.gguf'), join(folder, 'fleeting.gguf'));
    const fleeting = await provider.chat('fleeting');
    await rm(join(folder, 'fleeting.gguf'));
    expect((await read(fleeting, question('Hello'))).error).toMatchObject({ code: 'model_failed' });
  });

  test('its process killed midway: the running answers fail as retryable, the next one starts it anew', async () => {
    const { pid } = provider;
    let killed = false;
    const ask = () =>
      read(model, question('Go on', { maxOutputTokens: 1_500, temperature: 1 }), () => {
        if (!killed && pid !== undefined) process.kill(pid, 'SIGKILL');
        killed = true;
      });
    const answers = await Promise.all([ask(), ask()]);
    for (const { error } of answers) expect(error).toMatchObject({ code: 'model_failed', retryable: true });
    await gone(pid);
    expect((await read(model, question('Again', { maxOutputTokens: 5 }))).finish).toBeDefined();
    expect(provider.pid).not.toBe(pid);
  });

  test('an interrupt of the whole group leaves running answers alone', async () => {
    const { pid } = provider;
    const answer = await read(model, question('Go on', { maxOutputTokens: 50, temperature: 1 }), (text) => {
      if (pid !== undefined && text.length === 10) process.kill(pid, 'SIGTERM');
    });
    expect(answer.finish?.usage.outputTokens.total).toBe(50);
  });

  test.runIf(process.platform === 'linux')('the process is modest: low priority, first to go', async () => {
    await read(model, question('Hello', { maxOutputTokens: 5 }));
    const stat = readFileSync(`/proc/${provider.pid}/stat`, 'utf8');
    const nice = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[16]);
    expect(nice).toBeGreaterThan(0);
    expect(Number(readFileSync(`/proc/${provider.pid}/oom_score_adj`, 'utf8'))).toBeGreaterThan(0);
  });

  test('idle, the process ends; closed, it is gone and asking fails', async () => {
    const short = createEmbeddedProvider({
      settings: settingsFor(folder, { keepAliveSeconds: 0.05 }),
      home: folder,
      log: silent,
    });
    const idle = await short.chat('random');
    let pid: number | undefined;
    await read(idle, question('Hello', { maxOutputTokens: 5 }), () => {
      pid = short.pid;
    });
    await gone(pid);
    expect(short.pid).toBeUndefined();
    await read(idle, question('Hello again', { maxOutputTokens: 300, temperature: 1 }), () => {
      pid = short.pid;
      void short.close();
    }).then(({ error }) => expect(error).toMatchObject({ code: 'stopped' }));
    await gone(pid);
    expect((await read(idle, question('Hello'))).error).toMatchObject({ code: 'stopped' });
  });

  test('a process that does not start in time is ended, and said', async () => {
    const client = createEngineClient({ settings: settingsFor(folder), log: silent, startSeconds: 0.001 });
    const call = client.call({ type: 'embed', path: join(folder, 'random.gguf'), texts: ['x'] });
    const { pid } = client;
    await expect(call).rejects.toThrow(/did not start within/);
    await expect(call).rejects.toMatchObject({ code: 'model_failed', retryable: true });
    await gone(pid);
  });

  test('when its parent is killed, the process goes too', async () => {
    const { parent, pid } = await startParent('stay');
    parent.kill('SIGKILL');
    await gone(pid);
  });

  test('an idle process does not keep its parent from ending', async () => {
    const { parent, pid } = await startParent();
    if (parent.exitCode === null) await once(parent, 'exit');
    expect(parent.exitCode).toBe(0);
    await gone(pid);
  });

  async function startParent(...more: string[]) {
    const script = fileURLToPath(new URL('./support/embedded-parent.ts', import.meta.url));
    const parent = spawn(process.execPath, ['--import', 'tsx', script, folder, 'random', ...more], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [line] = await once(parent.stdout, 'data');
    return { parent, pid: Number(line) };
  }

  test.runIf(process.platform === 'linux')('the process gets no secrets of the daemon', async () => {
    vi.stubEnv('TELEGRAM_BOT_TOKEN', 'planted-secret');
    const other = createEmbeddedProvider({ settings: settingsFor(folder), home: folder, log: silent });
    await read(await other.chat('random'), question('Hello', { maxOutputTokens: 3 }));
    const environment = readFileSync(`/proc/${other.pid}/environ`, 'utf8');
    await other.close();
    vi.unstubAllEnvs();
    expect(environment).toContain('PATH=');
    expect(environment).not.toContain('planted-secret');
  });

  test('the log gets what the process says, and no text of the conversation', async () => {
    const lines: string[] = [];
    const log: Log = createLog({
      level: 'debug',
      secrets: () => [],
      destination: { write: (line) => void lines.push(line) },
    });
    const logged = createEmbeddedProvider({ settings: settingsFor(folder), home: folder, log });
    await read(await logged.chat('random'), question('MARKED-TEXT', { maxOutputTokens: 5 }));
    await logged.close();
    expect(lines.some((line) => line.includes('model process started'))).toBe(true);
    expect(lines.some((line) => line.includes('junk.gguf'))).toBe(true);
    expect(lines.join('')).not.toContain('MARKED-TEXT');
  });

  test('memory decides on window and sequences', async () => {
    const header = await readGguf(join(folder, 'random.gguf'));
    const GB = 1e9;
    expect(planContext(header, { memory: 8 * GB, maxWindow: 4_096 })).toEqual({
      window: 2_048,
      sequences: 4,
    });
    expect(planContext(header, { memory: 8 * GB, maxWindow: 512 })).toEqual({ window: 512, sequences: 4 });
    expect(planContext(header, { memory: 0.1 * GB, maxWindow: 4_096 })).toEqual({
      window: 1_024,
      sequences: 1,
    });
  });
});

describe.skipIf(!realChatModel)('on SmolLM2-135M-Instruct', () => {
  let provider: EmbeddedProvider;
  let model: ChatModel;

  beforeAll(async () => {
    const folder = join(realChatModel ?? '', '..');
    provider = createEmbeddedProvider({ settings: settingsFor(folder), home: folder, log: silent });
    model = await provider.chat('SmolLM2-135M-Instruct.Q4_1');
  });
  afterAll(() => provider.close());

  test('the capital of France is Paris, streamed', async () => {
    let pieces = 0;
    const answer = await read(model, question('What is the capital of France?'), () => pieces++);
    expect(answer.text).toContain('Paris');
    expect(answer.finish?.finishReason).toEqual({ unified: 'stop', raw: 'stop' });
    expect(pieces).toBeGreaterThan(3);
  });

  test('two plus three is five; three fruits have names', async () => {
    expect((await read(model, question('What is 2 + 3?'))).text).toContain('5');
    expect((await read(model, question('Name three fruits.'))).text).toMatch(/banana|orange|apple|grape/i);
  });

  test('a JSON schema is obeyed', async () => {
    const schema = {
      type: 'object',
      properties: { city: { type: 'string' }, country: { type: 'string' } },
      required: ['city', 'country'],
      additionalProperties: false,
    } as const;
    const asked = question('What is the capital of France?', { responseFormat: { type: 'json', schema } });
    const { content } = await model.language.doGenerate(asked);
    const value = JSON.parse(content[0]?.type === 'text' ? content[0].text : '');
    expect(Object.keys(value)).toEqual(['city', 'country']);
  });

  test('two conversations at once both make sense', async () => {
    const [one, two] = await Promise.all([
      read(model, question('What is the capital of France?')),
      read(model, question('Name three fruits.')),
    ]);
    expect(one.text).toContain('Paris');
    expect(two.text).toMatch(/banana|orange|apple|grape/i);
  });

  test('JSON without a schema is JSON', async () => {
    const asked = question('A person as JSON with name and age.', {
      responseFormat: { type: 'json' },
      maxOutputTokens: 300,
    });
    const answer = await read(model, asked);
    if (answer.finish?.finishReason.raw === 'stop') JSON.parse(answer.text);
    expect(answer.text.trimStart()).toMatch(/^[[{"\d\-tfn]/);
  });
});

describe.skipIf(!realEmbeddingModel)('on all-MiniLM-L6-v2', () => {
  test('related sentences are nearer than unrelated ones', async () => {
    const folder = join(realEmbeddingModel ?? '', '..');
    const provider = createEmbeddedProvider({ settings: settingsFor(folder), home: folder, log: silent });
    try {
      const model = await provider.embedding('all-MiniLM-L6-v2.Q8_0');
      const values = [
        'A man is eating food.',
        'Someone eats a meal.',
        'The stock market fell today.',
        '',
        'word '.repeat(5_000),
      ];
      const { embeddings, usage } = await model.doEmbed({ values });
      expect(embeddings.map((vector) => vector.length)).toEqual([384, 384, 384, 384, 384]);
      const cosine = (a: number, b: number) =>
        (embeddings[a] ?? []).reduce((sum, value, at) => sum + value * (embeddings[b]?.[at] ?? 0), 0);
      expect(cosine(0, 0)).toBeCloseTo(1, 4);
      expect(cosine(0, 1)).toBeGreaterThan(0.5);
      expect(cosine(0, 2)).toBeLessThan(0.2);
      expect(usage?.tokens).toBeGreaterThan(500);
    } finally {
      await provider.close();
    }
  });
});
