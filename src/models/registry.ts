/** All models there are: config and what is installed → candidates in order → the chat. One line here adds a provider. */
import type { Config } from '../config.ts';
import { asKimiError, KimiError } from '../errors.ts';
import type { Log } from '../log.ts';
import { type Chat, createChat, noModel } from './chat.ts';
import { createGate } from './gate.ts';
import { isLoopback, machineMemory } from './machine.ts';
import type { ChatModel, ModelInfo, ModelProvider, Progress, Starter } from './model.ts';
import { profileFor } from './profiles.ts';
import { parseRef, rankForChat } from './select.ts';
import { createStarting } from './starting.ts';

export interface ModelsOptions {
  config: () => Config;
  log: Log;
  /** In the order in which `auto` prefers them. */
  providers: readonly ModelProvider[];
  starter: Starter;
  /** Bytes this machine may use. */
  memory?: () => number;
  /** Milliseconds, for the age of what is cached. */
  now?: () => number;
  retryDelaysMs?: readonly number[];
}

/** What `kimi status` says of the models. */
export interface ModelStatus {
  /** The `provider/name` that would be asked now. */
  chat: string | undefined;
  /** Why that one, or why none. */
  why: string;
  fetching?: Progress;
  providers: { name: string; on: boolean; detail: string }[];
}

export interface Models {
  chat: Chat;
  /**
   * Whom to ask, in order: the preferred one, then what the configuration names. Empty when nothing can chat. Never
   * rejects.
   */
  candidates(preferred?: string): Promise<ChatModel[]>;
  /** All models of all providers that answer. Never rejects. */
  list(): Promise<ModelInfo[]>;
  find(ref: string): Promise<ModelInfo | undefined>;
  /**
   * Fetches `ollama/NAME`, or what the embedded provider knows under any other name: `recommended`, `starter`, an
   * address. Rejects with a KimiError.
   */
  pull(name: string, onProgress: (progress: Progress) => void, signal: AbortSignal): Promise<ModelInfo>;
  status(): Promise<ModelStatus>;
  /** Looks what is there, and fetches the starter in the background where nothing can chat. Returns at once. */
  start(): void;
  /** Forgets what is cached: after a change of the configuration or of the models. */
  changed(): void;
  close(): Promise<void>;
}

/** So long a selection is taken as it is. */
const FRESH_MS = 5_000;
/** So long it is still taken, but looked at again meanwhile; beyond that a message waits for the look. */
const STALE_MS = 120_000;

interface Selection {
  models: ChatModel[];
  /** Why those named in the configuration are not among them. */
  errors: KimiError[];
  at: number;
}

/** Makes the registry. Nothing is asked and nothing fetched before the first call. */
export function createModels(options: ModelsOptions): Models {
  const { config, log, providers, starter, memory = machineMemory, now = () => performance.now() } = options;
  const gate = createGate(() => config().models.concurrency);
  let selection: Selection | undefined;
  let looking: Promise<Selection> | undefined;
  let generation = 0;

  const starting = createStarting({
    starter,
    needed: async () => wantsStarter() && (await look()).models.length === 0 && !(await starter.present()),
    onReady: forget,
    log,
    ...(options.retryDelaysMs ? { delaysMs: options.retryDelaysMs } : {}),
  });

  function named(): string[] {
    const { chat } = config().models;
    return typeof chat === 'string' ? [chat] : chat;
  }

  /** Only `auto` may bring a model of its own: who names another does not want this one. */
  function wantsStarter(): boolean {
    return config().models.providers.embedded.download === 'starter' && named().includes('auto');
  }

  function memoryFor(provider: ModelProvider): number {
    const remote = provider.name === 'ollama' && !isLoopback(config().models.providers.ollama.baseUrl);
    return remote ? Number.POSITIVE_INFINITY : memory();
  }

  async function open(ref: string): Promise<ChatModel> {
    const parsed = parseRef(ref);
    const provider = providers.find(({ name }) => name === parsed?.provider);
    if (!parsed || !provider) {
      const names = providers.map(({ name }) => `${name}/NAME`).join(', ');
      throw new KimiError(`${ref} names no model: a name is ${names}. \`kimi models list\` shows them.`, {
        code: 'invalid_argument',
      });
    }
    return provider.chat(parsed.name);
  }

  /** Of each provider the best, and the starter besides, as the last to fall back on. */
  async function automatic(): Promise<string[]> {
    const ranked = await Promise.all(
      providers.map(async (provider) => rankForChat(await provider.list(), memoryFor(provider))),
    );
    const best = ranked.flatMap((models) => models.slice(0, 1));
    const starters = ranked.flatMap((models) => models.filter((model) => profileFor(model).starter));
    const inOrder = [...best.filter((model) => !profileFor(model).starter), ...starters];
    return [...new Set(inOrder.map(({ ref }) => ref))];
  }

  async function select(): Promise<Selection> {
    const models: ChatModel[] = [];
    const errors: KimiError[] = [];
    for (const name of named()) {
      for (const ref of name === 'auto' ? await automatic() : [name]) {
        if (models.some((model) => model.ref === ref)) continue;
        try {
          models.push(await open(ref));
        } catch (error) {
          errors.push(asKimiError(error));
        }
      }
    }
    return { models, errors, at: now() };
  }

  /** Looks now; several callers share one look. What is learnt after changed() was called is not kept. */
  function look(): Promise<Selection> {
    const started = generation;
    looking ??= select().finally(() => {
      if (started === generation) looking = undefined;
    });
    return looking.then((found) => {
      if (started === generation) selection = found;
      return found;
    });
  }

  async function selected(): Promise<Selection> {
    const age = selection ? now() - selection.at : Number.POSITIVE_INFINITY;
    if (!selection || age > STALE_MS) return look();
    if (age > FRESH_MS || selection.models.length === 0) {
      const fresh = look();
      if (selection.models.length === 0) return fresh;
      fresh.catch((error: unknown) => log.warn({ err: error }, 'the models could not be looked at'));
    }
    return selection;
  }

  async function candidates(preferred?: string): Promise<ChatModel[]> {
    const { models } = await selected();
    if (models.length === 0) starting.run();
    if (preferred === undefined || preferred === 'auto') return [...models];
    try {
      const chosen = await open(preferred);
      return [chosen, ...models.filter(({ ref }) => ref !== chosen.ref)];
    } catch (error) {
      log.warn({ model: preferred, err: error }, 'the model chosen for this conversation cannot be had');
      return [...models];
    }
  }

  async function list(): Promise<ModelInfo[]> {
    return (await Promise.all(providers.map((provider) => provider.list()))).flat();
  }

  function firstChoice(preferred?: string): string | undefined {
    const first = preferred ?? named()[0];
    return first === 'auto' ? undefined : first;
  }

  function none(): KimiError {
    const why = starting.failure() ?? selection?.errors[0];
    return noModel(why ? withoutStop(why.message) : '');
  }

  function forget(): void {
    generation++;
    selection = undefined;
    looking = undefined;
  }

  function changed(): void {
    forget();
    starting.reset();
    gate.changed();
  }

  return {
    chat: createChat({
      candidates,
      gate,
      deadlines: () => ({
        firstTokenMs: config().models.firstTokenSeconds * 1_000,
        silenceMs: config().models.silenceSeconds * 1_000,
      }),
      waiting: starting.waiting,
      none,
      firstChoice,
      onFailure: forget,
      log,
    }),
    candidates,
    list,
    changed,

    async find(ref) {
      return (await list()).find((model) => model.ref === ref);
    },

    async pull(name, onProgress, signal) {
      const parsed = parseRef(name);
      const prefixed = providers.find((provider) => provider.name === parsed?.provider);
      const provider = prefixed ?? providers.find((one) => one.name === 'embedded');
      if (!provider?.pull) {
        throw new KimiError(`Nothing here can fetch ${name}. For a model of Ollama, say ollama/${name}.`, {
          code: 'invalid_argument',
        });
      }
      const info = await provider.pull(prefixed && parsed ? parsed.name : name, onProgress, signal);
      changed();
      return info;
    },

    async status() {
      const { models, errors } = await selected();
      const fetching = (await starting.waiting())?.progress;
      const first = models[0];
      return {
        chat: first?.ref,
        why: first
          ? reasonFor(first, named())
          : reasonForNone(fetching && starter, starting.failure() ?? errors[0]),
        ...(fetching ? { fetching } : {}),
        providers: await Promise.all(providers.map(stateOf)),
      };
    },

    start() {
      selected()
        .then(({ models }) => {
          if (models.length === 0) starting.run();
        })
        .catch((error: unknown) => log.error({ err: error }, 'the models could not be looked at'));
    },

    async close() {
      await starting.close();
      await Promise.all(providers.map((provider) => provider.close()));
    },
  };
}

function reasonFor(model: ChatModel, names: readonly string[]): string {
  if (names.includes(model.ref)) return 'named in the configuration';
  if (model.profile.starter) return 'the starter; `kimi models pull recommended` gets a good one';
  return 'the largest there that fits this machine';
}

function reasonForNone(fetching: Starter | undefined, error: KimiError | undefined): string {
  return fetching ? `fetching ${fetching.describe()}` : (error ?? noModel()).message;
}

async function stateOf(provider: ModelProvider): Promise<ModelStatus['providers'][number]> {
  const models = await provider.list();
  const state = provider.status?.() ?? {
    on: models.length > 0,
    detail: models.length === 0 ? 'no models' : models.map(({ name }) => name).join(', '),
  };
  return { name: provider.name, ...state };
}

function withoutStop(sentence: string): string {
  return sentence.replace(/\.$/, '');
}
