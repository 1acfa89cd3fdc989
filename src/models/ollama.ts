/** Ollama, on its official client: what is there, what it can do, asking it, fetching more. */
import { setMaxListeners } from 'node:events';
import type { Ollama, ShowResponse } from 'ollama';
import type { Config } from '../config.ts';
import { KimiError } from '../errors.ts';
import type { Log } from '../log.ts';
import { fits, isLoopback, machineMemory, roomForWindow } from './machine.ts';
import type { ChatModel, ModelInfo, ModelProvider, Progress } from './model.ts';
import { ollamaError } from './ollama/errors.ts';
import { createFetch } from './ollama/http.ts';
import { describe, type OllamaModel } from './ollama/info.ts';
import { createOllamaLanguage } from './ollama/language.ts';
import { profileFor } from './profiles.ts';

export interface OllamaOptions {
  /** Read anew for each request, so that the configuration may change while the daemon runs. */
  settings: () => Config['models']['providers']['ollama'];
  log: Log;
  /** Bytes that this machine may use; only for an Ollama on this machine. */
  memory?: () => number;
}

/** How long Ollama may take to say what it has. It answers in milliseconds when it is there. */
const LIST_DEADLINE_MS = 1_500;
/** /api/show reads the model file's header: some milliseconds each, more on a cold disk. */
const SHOW_DEADLINE_MS = 5_000;
const SHOWS_AT_ONCE = 4;
const LEAST_WINDOW = 2_048;

/** Makes the provider. Loads the client when it is first needed; holds no connection of its own. */
export function createOllamaProvider(options: OllamaOptions): ModelProvider {
  const { settings, log, memory = machineMemory } = options;
  const closing = new AbortController();
  setMaxListeners(0, closing.signal);
  /** By digest: a model of the same digest never changes what it can do. */
  const shown = new Map<string, ShowResponse>();
  /** By name, as last listed or shown. */
  const known = new Map<string, OllamaModel>();
  let state = { on: false, detail: 'not asked yet' };

  async function connect(signals: readonly AbortSignal[]): Promise<Ollama> {
    const { Ollama } = await import('ollama');
    const fetch = createFetch([...signals, closing.signal]);
    return new Ollama({ host: settings().baseUrl, fetch });
  }

  async function show(name: string, signals: readonly AbortSignal[]): Promise<ShowResponse> {
    const client = await connect(signals);
    const answer: unknown = await client.show({ model: name });
    if (typeof answer !== 'object' || answer === null) throw new SyntaxError('not an object');
    return answer as ShowResponse;
  }

  async function list(signal?: AbortSignal): Promise<ModelInfo[]> {
    const { baseUrl } = settings();
    const deadline = AbortSignal.timeout(LIST_DEADLINE_MS);
    const within = signal ? [signal, deadline] : [deadline];
    try {
      const client = await connect(within);
      const { models } = await client.list();
      const tags = models.filter((tag) => typeof tag.name === 'string');
      await inParallel(SHOWS_AT_ONCE, tags, async ({ name, digest }) => {
        if (!shown.has(digest)) shown.set(digest, await show(name, within));
      }).catch((error: unknown) => log.debug({ err: error }, 'not all of the models could be looked at'));

      const present = new Set(tags.map(({ digest }) => digest));
      for (const digest of shown.keys()) if (!present.has(digest)) shown.delete(digest);
      known.clear();
      for (const tag of tags) known.set(tag.name, describe(tag, shown.get(tag.digest)));
      state = { on: true, detail: `${count(tags.length)} at ${baseUrl}` };
      return [...known.values()].map(({ info }) => info);
    } catch (error) {
      known.clear();
      const { code } = ollamaError(error, { baseUrl });
      const why = deadline.aborted || code === 'network' ? 'does not answer' : 'answers with an error';
      state = { on: false, detail: `${why} at ${baseUrl}` };
      log.debug({ err: error }, 'Ollama could not be listed');
      return [];
    }
  }

  function recall(name: string): OllamaModel | undefined {
    return known.get(name) ?? known.get(`${name}:latest`);
  }

  /** Throws KimiError `not_found` or `network`. */
  async function look(name: string): Promise<OllamaModel> {
    // The list first: it alone tells the size of the weights, and with it how long a window may be.
    if (!recall(name)) await list();
    const found = recall(name);
    if (found) return found;
    const deadline = AbortSignal.timeout(SHOW_DEADLINE_MS);
    try {
      const model = describe({ name }, await show(name, [deadline]));
      known.set(name, model);
      return model;
    } catch (error) {
      if (deadline.aborted) {
        throw new KimiError(`Ollama does not answer at ${settings().baseUrl}. Look whether it is busy.`, {
          code: 'network',
          retryable: true,
          cause: error,
        });
      }
      throw ollamaError(error, { baseUrl: settings().baseUrl, model: name });
    }
  }

  function windowOf({ info, bytesPerToken }: OllamaModel, maxWindow: number): number {
    const most = Math.min(info.window ?? maxWindow, maxWindow);
    if (info.bytes === undefined || !isLoopback(settings().baseUrl) || !fits(info.bytes, memory()))
      return most;
    const affordable = roomForWindow(info.bytes, memory()) / bytesPerToken;
    return Math.min(most, Math.max(LEAST_WINDOW, Math.floor(affordable / 1_024) * 1_024));
  }

  return {
    name: 'ollama',
    list,
    status: () => state,

    async chat(name): Promise<ChatModel> {
      const model = await look(name);
      if (!model.info.can.chat) {
        throw new KimiError(
          `Ollama's model ${name} cannot chat. Choose one that can: \`kimi models list\`.`,
          {
            code: 'invalid_argument',
          },
        );
      }
      const profile = profileFor(model.info);
      const window = windowOf(model, profile.maxWindow);
      const language = createOllamaLanguage({
        name,
        profile,
        window,
        thinks: model.thinks,
        baseUrl: () => settings().baseUrl,
        keepAlive: () => settings().keepAlive,
        connect,
      });
      return { ref: `ollama/${name}`, language, profile, window, can: model.info.can };
    },

    async pull(name, onProgress, signal) {
      const { baseUrl } = settings();
      try {
        const client = await connect([signal]);
        const steps = await client.pull({ model: name, stream: true });
        const sum = createLayerSum(name);
        for await (const step of steps) onProgress(sum(step));
        known.delete(name);
        return (await look(name)).info;
      } catch (error) {
        if (isUnknownModel(error)) {
          throw new KimiError(
            `Ollama's library has no model ${name}. Look for its name at https://ollama.com/library.`,
            { code: 'not_found', cause: error },
          );
        }
        throw ollamaError(error, { baseUrl, signals: [signal, closing.signal] });
      }
    },

    async close() {
      closing.abort();
    },
  };
}

/** Ollama reports each layer by itself; people want one bar. */
function createLayerSum(
  name: string,
): (step: { digest?: string; completed?: number; total?: number }) => Progress {
  const layers = new Map<string, { completed: number; total: number }>();
  return ({ digest, completed = 0, total = 0 }) => {
    if (digest && total > 0) layers.set(digest, { completed, total });
    const sums = [...layers.values()].reduce(
      (sum, layer) => ({ done: sum.done + layer.completed, total: sum.total + layer.total }),
      { done: 0, total: 0 },
    );
    return sums.total > 0 ? { what: name, ...sums } : { what: name, done: 0 };
  };
}

/** Pulling a name that does not exist answers with status 200 and this in the stream. */
function isUnknownModel(error: unknown): boolean {
  return (
    error instanceof Error && /pull model manifest: (file does not exist|.*not found)/.test(error.message)
  );
}

async function inParallel<Item>(
  places: number,
  items: readonly Item[],
  work: (item: Item) => Promise<void>,
): Promise<void> {
  const rest = items.values();
  const worker = async () => {
    for (const item of rest) await work(item);
  };
  await Promise.all(Array.from({ length: places }, worker));
}

function count(models: number): string {
  return models === 1 ? '1 model' : `${models} models`;
}
