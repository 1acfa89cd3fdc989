import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Config, configSchema } from '../src/config.ts';
import { KimiError } from '../src/errors.ts';
import type { ChatEvent } from '../src/models/chat.ts';
import type { ModelInfo, ModelProvider, Progress, Starter } from '../src/models/model.ts';
import { createOllamaProvider } from '../src/models/ollama.ts';
import { profileFor } from '../src/models/profiles.ts';
import { createModels, type Models } from '../src/models/registry.ts';
import { parseRef, rankForChat } from '../src/models/select.ts';
import { type StandIn, type StandInModel, startOllama } from './support/ollama.ts';

const GB = 1024 ** 3;
const STARTER = 'SmolLM2-135M-Instruct.Q4_1';
const signal = new AbortController().signal;
const closing: (() => Promise<void>)[] = [];

function model(name: string, facts: Partial<ModelInfo> = {}): ModelInfo {
  return {
    ref: `ollama/${name}`,
    provider: 'ollama',
    name,
    can: { chat: true, embed: false, tools: true, images: false },
    ...facts,
  };
}

describe('a profile', () => {
  it('goes by size', () => {
    const at = (parameters?: number) =>
      profileFor(model('x', parameters === undefined ? {} : { parameters }));
    expect([0.135e9, 0.99e9, 1e9, 4e9, 8e9, 70e9].map((size) => at(size).name)).toEqual([
      'tiny',
      'tiny',
      'small',
      'small',
      'medium',
      'large',
    ]);
    expect(at(0.5e9)).toMatchObject({
      temperature: 0,
      tools: false,
      systemPrompt: 'minimal',
      uses: ['chat'],
      starter: false,
    });
    expect(at()).toMatchObject({ name: 'medium', systemPrompt: 'short', maxWindow: 8_192 });
  });

  it('knows the starter, and offers no tools to who cannot use them', () => {
    expect(profileFor(model(STARTER, { parameters: 134_515_008 })).starter).toBe(true);
    expect(profileFor(model('SmolLM2-1.7B-Instruct', { parameters: 1.7e9 })).starter).toBe(false);
    const can = { chat: true, embed: false, tools: false, images: false };
    expect(profileFor(model('x', { parameters: 8e9, can })).tools).toBe(false);
    expect(profileFor(model('x', { parameters: 8e9 })).tools).toBe(true);
  });

  it('samples as a family wants it, and leaves room to those that reason; tiny ones stay greedy', () => {
    const plain = profileFor(model('llama3.1:8b', { parameters: 8e9 }));
    expect(profileFor(model('gemma3:12b', { parameters: 12e9 })).temperature).toBe(1);
    expect(profileFor(model('qwen3:8b', { parameters: 8e9 })).maxAnswer).toBe(2 * plain.maxAnswer);
    expect(profileFor(model('qwen3:0.6b', { parameters: 0.6e9 }))).toMatchObject({
      temperature: 0,
      maxAnswer: 512,
    });
  });
});

describe('what auto takes', () => {
  const names = (models: ModelInfo[], memory = 16 * GB) =>
    rankForChat(models, memory).map(({ name }) => name);

  it('is the largest that fits, the starter last', () => {
    expect(
      names([
        model(STARTER, { parameters: 0.135e9, bytes: 98e6 }),
        model('qwen3:4b', { parameters: 4e9, bytes: 2.5 * GB }),
        model('llama3.3:70b', { parameters: 70e9, bytes: 42 * GB }),
        model('qwen3:8b', { parameters: 8e9, bytes: 5 * GB }),
        model('smol:100m', { parameters: 0.1e9, bytes: 90e6 }),
        model('nomic-embed-text', { can: { chat: false, embed: true, tools: false, images: false } }),
      ]),
    ).toEqual(['qwen3:8b', 'qwen3:4b', 'smol:100m', STARTER]);
  });

  it('prefers kimi-k2.5 where it fits', () => {
    const kimi = model('kimi-k2.5:q2', { parameters: 1e12, bytes: 300 * GB });
    const large = model('larger:1t', { parameters: 1.5e12, bytes: 400 * GB });
    expect(names([large, kimi], 1024 * GB)).toEqual(['kimi-k2.5:q2', 'larger:1t']);
    expect(names([large, kimi], 64 * GB)).toEqual([]);
  });

  it("is never on somebody else's computer", () => {
    expect(names([model('kimi-k2.5:cloud', { remote: true }), model('a', { parameters: 1e9 })])).toEqual([
      'a',
    ]);
  });
});

it('a reference is a provider and a name that may hold slashes', () => {
  expect(parseRef('ollama/hf.co/someone/model:Q4')).toEqual({
    provider: 'ollama',
    name: 'hf.co/someone/model:Q4',
  });
  for (const ref of ['auto', '/x', 'ollama/', '']) expect(parseRef(ref)).toBeUndefined();
});

/** The place of the embedded provider: its models answer through a second stand-in, its starter through a script. */
async function embeddedOn(models: StandInModel[]) {
  const server = await startOllama(models);
  const inner = createOllamaProvider({
    settings: () => ({ baseUrl: server.url, keepAlive: '5m' }),
    log: pino({ level: 'silent' }),
    memory: () => 64 * GB,
  });
  closing.push(() => server.close());
  const provider: ModelProvider = {
    name: 'embedded',
    list: async () =>
      (await inner.list()).map((info) => ({ ...info, provider: 'embedded', ref: `embedded/${info.name}` })),
    chat: async (name) => ({ ...(await inner.chat(name)), ref: `embedded/${name}` }),
    pull: async (name) => {
      server.models.push({ name: `${name}-model`, parameterSize: '4.0B' });
      return model(`${name}-model`);
    },
    close: () => inner.close(),
  };
  return { server, provider };
}

class ScriptedStarter implements Starter {
  fetches = 0;
  /** What each attempt does, in order; the last is repeated. */
  readonly attempts: ((onProgress: (progress: Progress) => void, signal: AbortSignal) => Promise<void>)[] =
    [];
  readonly server: StandIn;

  constructor(server: StandIn) {
    this.server = server;
  }
  async present() {
    return this.server.models.some(({ name }) => name === STARTER);
  }
  describe() {
    return 'Fetching the starter';
  }
  progress() {
    return undefined;
  }
  async fetch(onProgress: (progress: Progress) => void, stop: AbortSignal) {
    const attempt = this.attempts[Math.min(this.fetches++, this.attempts.length - 1)];
    await attempt?.(onProgress, stop);
    this.server.models.push({ name: STARTER, parameterSize: '134.52M', size: 98e6 });
  }
}

describe('the registry', () => {
  let ollama: StandIn;
  let embedded: StandIn;
  let starter: ScriptedStarter;
  let models: Models;
  let config: Config;
  let clock: number;
  const printed: Record<string, unknown>[] = [];
  const log = pino({ level: 'info' }, { write: (line) => void printed.push(JSON.parse(line)) });

  function configure(settings: object): void {
    config = configSchema.parse({
      models: { ...settings, providers: { ollama: { baseUrl: ollama.url }, ...embeddedSettings } },
    });
    models.changed();
  }
  let embeddedSettings: object = {};

  beforeEach(async () => {
    printed.length = 0;
    embeddedSettings = {};
    clock = 0;
    ollama = await startOllama([
      { name: 'qwen3:4b', parameterSize: '4.0B', size: 2 * GB },
      { name: 'qwen3:8b', parameterSize: '8.0B', size: 5 * GB },
      { name: 'kimi-k2.5:cloud', parameterSize: '1T', remoteHost: 'https://ollama.example' },
    ]);
    const other = await embeddedOn([
      { name: 'gemma3-4b', parameterSize: '4.0B', size: 2 * GB },
      { name: STARTER, parameterSize: '134.52M', size: 98e6 },
    ]);
    embedded = other.server;
    starter = new ScriptedStarter(embedded);
    config = configSchema.parse({ models: { providers: { ollama: { baseUrl: ollama.url } } } });
    models = createModels({
      config: () => config,
      log,
      providers: [
        createOllamaProvider({ settings: () => config.models.providers.ollama, log, memory: () => 16 * GB }),
        other.provider,
      ],
      starter,
      memory: () => 16 * GB,
      now: () => clock,
      retryDelaysMs: [1],
    });
  });
  afterEach(async () => {
    await models.close();
    await ollama.close();
    for (const close of closing.splice(0)) await close();
  });

  const refs = async (preferred?: string) => (await models.candidates(preferred)).map(({ ref }) => ref);
  const tags = () => ollama.requests.filter(({ path }) => path === '/api/tags').length;

  async function ask(preferred?: string): Promise<ChatEvent[]> {
    const events: ChatEvent[] = [];
    const request = {
      signal,
      prepare: async () => ({
        prompt: [{ role: 'user' as const, content: [{ type: 'text' as const, text: 'Hi' }] }],
      }),
      ...(preferred === undefined ? {} : { preferred }),
    };
    for await (const event of models.chat(request)) events.push(event);
    return events;
  }
  const asked = (events: readonly ChatEvent[]) =>
    events.flatMap((event) =>
      event.type === 'model' ? [`${event.fallback ? 'fallback ' : ''}${event.model.ref}`] : [],
    );

  it('under auto tries the best of Ollama, then of the embedded models, then the starter', async () => {
    expect(await refs()).toEqual(['ollama/qwen3:8b', 'embedded/gemma3-4b', `embedded/${STARTER}`]);
    expect(await models.status()).toMatchObject({
      chat: 'ollama/qwen3:8b',
      why: expect.stringContaining('largest'),
      providers: [
        { name: 'ollama', on: true, detail: expect.stringContaining('3 models') },
        { name: 'embedded', on: true },
      ],
    });
  });

  it('tries what the configuration names, in order, and nothing else', async () => {
    configure({ chat: ['ollama/kimi-k2.5:cloud', 'embedded/gemma3-4b'] });
    expect(await refs()).toEqual(['ollama/kimi-k2.5:cloud', 'embedded/gemma3-4b']);
    configure({ chat: ['ollama/absent', 'auto'] });
    expect(await refs()).toEqual(['ollama/qwen3:8b', 'embedded/gemma3-4b', `embedded/${STARTER}`]);
    expect(asked(await ask())).toEqual(['fallback ollama/qwen3:8b']);
    configure({ chat: 'ollama/qwen3:4b' });
    expect(await refs()).toEqual(['ollama/qwen3:4b']);
    expect((await models.status()).why).toBe('named in the configuration');
  });

  it('tries what a conversation prefers first, and goes on without it when it is gone', async () => {
    expect((await refs('embedded/gemma3-4b'))[0]).toBe('embedded/gemma3-4b');
    expect(asked(await ask('embedded/gemma3-4b'))).toEqual(['embedded/gemma3-4b']);
    expect(await refs('ollama/gone')).toEqual(await refs());
    expect(asked(await ask('ollama/gone'))).toEqual(['fallback ollama/qwen3:8b']);
  });

  it('says which name of the configuration is wrong when none is right', async () => {
    embeddedSettings = { embedded: { download: 'never' } };
    configure({ chat: 'ollama/absent' });
    expect((await ask()).at(-1)).toMatchObject({
      type: 'error',
      error: { code: 'model_none', message: expect.stringContaining('kimi models pull ollama/absent') },
    });
    configure({ chat: 'openrouter/x' });
    expect((await models.status()).why).toContain('openrouter/x names no model');
  });

  it('falls back in the middle of a conversation', async () => {
    ollama.reply = () => ({ trouble: 'status', status: 500, error: 'out of memory' });
    expect(asked(await ask())).toEqual(['ollama/qwen3:8b', 'fallback embedded/gemma3-4b']);
    await ollama.close();
    expect(asked(await ask())).toEqual(['embedded/gemma3-4b']);
    ollama = await startOllama();
  });

  it('asks Ollama what it has only now and then, and after a failure', async () => {
    await refs();
    const once = tags();
    await refs();
    expect(tags()).toBe(once);

    clock = 10_000;
    ollama.models.push({ name: 'mistral:12b', parameterSize: '12B', size: 7 * GB });
    expect((await refs())[0]).toBe('ollama/qwen3:8b');
    await expect.poll(async () => (await refs())[0]).toBe('ollama/mistral:12b');

    const before = tags();
    clock = 1_000_000;
    ollama.models.pop();
    expect((await refs())[0]).toBe('ollama/qwen3:8b');
    expect(tags()).toBe(before + 1);

    ollama.reply = () => ({ trouble: 'status' });
    await ask();
    await refs();
    expect(tags()).toBeGreaterThan(before + 1);
  });

  it('fetches a model from whoever has it, and takes it at once', async () => {
    const seen: Progress[] = [];
    ollama.models.length = 0;
    await refs();
    expect(await models.pull('ollama/mistral:7b', (progress) => seen.push(progress), signal)).toMatchObject({
      ref: 'ollama/mistral:7b',
    });
    expect(seen.at(-1)).toMatchObject({ done: 1_000, total: 1_000 });
    expect((await refs())[0]).toBe('ollama/mistral:7b');

    await models.pull('recommended', () => {}, signal);
    expect(await models.find('embedded/recommended-model')).toMatchObject({ parameters: 4e9 });
    await expect(models.pull('ollama/x', () => {}, AbortSignal.abort())).rejects.toMatchObject({
      code: 'stopped',
    });
  });

  describe('with nothing that can chat', () => {
    beforeEach(() => {
      ollama.models.length = 0;
      embedded.models.length = 0;
    });

    it('fetches the starter in the background, says so in one line, and lets messages wait', async () => {
      let go = () => {};
      const gone = new Promise<void>((resolve) => {
        go = resolve;
      });
      starter.attempts.push(async (onProgress) => {
        onProgress({ what: 'SmolLM2', done: 49, total: 98 });
        await gone;
      });
      models.start();
      await expect.poll(async () => (await models.status()).fetching).toMatchObject({ done: 49, total: 98 });
      expect((await models.status()).why).toContain('fetching ');

      const events: ChatEvent[] = [];
      for await (const event of models.chat({ signal, prepare: async () => ({ prompt: [] }) })) {
        events.push(event);
        if (event.type === 'waiting') go();
      }
      expect(events[0]).toEqual({ type: 'waiting', progress: { what: 'SmolLM2', done: 49, total: 98 } });
      expect(asked(events)).toEqual([`embedded/${STARTER}`]);
      expect(starter.fetches).toBe(1);
      expect(printed.filter(({ msg }) => msg === 'Fetching the starter')).toHaveLength(1);
    });

    it('begins to fetch when a message comes first', async () => {
      expect(asked(await ask())).toEqual([`embedded/${STARTER}`]);
    });

    it('tries again when that failed, and says why meanwhile', async () => {
      let fail = () => {};
      starter.attempts.push(
        async () => {
          throw new KimiError('Neither source answers. Look at the network.', { code: 'download_failed' });
        },
        () =>
          new Promise((_, reject) => {
            fail = () => reject(new KimiError('Cut off.', { code: 'download_failed', retryable: true }));
          }),
        async () => {},
      );
      models.start();
      await expect.poll(() => starter.fetches).toBe(2);
      fail();
      await expect.poll(() => refs()).toEqual([`embedded/${STARTER}`]);
      expect(starter.fetches).toBe(3);
    });

    it('does not fetch a file with a wrong hash for ever, and the answer says what happened', async () => {
      starter.attempts.push(async () => {
        throw new KimiError('The file is not the one expected.', { code: 'hash_mismatch' });
      });
      models.start();
      await expect.poll(async () => (await models.status()).why).toBe('The file is not the one expected.');
      const last = (await ask()).at(-1);
      expect(last).toMatchObject({
        type: 'error',
        error: {
          code: 'model_none',
          message: expect.stringMatching(/not the one expected.*pull recommended/s),
        },
      });
    });

    it('fetches nothing when that is forbidden, and says that there is no model', async () => {
      embeddedSettings = { embedded: { download: 'never' } };
      configure({});
      models.start();
      expect((await ask()).at(-1)).toMatchObject({ type: 'error', error: { code: 'model_none' } });
      expect(starter.fetches).toBe(0);
      expect((await models.status()).chat).toBeUndefined();
    });

    it('stops fetching when it is closed', async () => {
      const stopped = new Promise<void>((resolve) => {
        starter.attempts.push(
          (_, stop) =>
            new Promise((_resolve, reject) => {
              stop.addEventListener('abort', () => {
                resolve();
                reject(new KimiError('Stopped.', { code: 'stopped' }));
              });
            }),
        );
      });
      models.start();
      await expect.poll(() => starter.fetches).toBe(1);
      await models.close();
      await stopped;
      expect(starter.fetches).toBe(1);
    });
  });
});
