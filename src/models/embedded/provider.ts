/** GGUF files as a model provider: folder → list, file → model in the model process, name → download. */
import { basename, join } from 'node:path';
import type { EmbeddingModelV3 } from '@ai-sdk/provider';
import type { Config } from '../../config.ts';
import { asKimiError, KimiError } from '../../errors.ts';
import type { Log } from '../../log.ts';
import { modelsFolder } from '../folder.ts';
import { machineMemory } from '../machine.ts';
import { availableMemory } from '../memory.ts';
import type { ChatModel, ModelInfo, ModelProvider } from '../model.ts';
import { profileFor } from '../profiles.ts';
import { recommendedFor } from '../recommended.ts';
import { STARTER } from '../sources.ts';
import { type FetchOptions, type FetchSource, fetchPinned } from '../starter/fetch.ts';
import { askHub, defaultHub, type HubFile, hubUrl } from '../starter/hub.ts';
import { createEngineClient } from './client.ts';
import { createEmbeddingModel } from './embedding.ts';
import { createLanguageModel } from './language.ts';
import { createLibrary, type LibraryEntry } from './library.ts';
import { planContext } from './plan.ts';
import type { ChatSpec } from './protocol.ts';

export interface EmbeddedProviderOptions {
  settings: () => Config['models']['providers']['embedded'];
  /** KIMI_HOME, which `~/.kimi` in the configured path stands for. */
  home: string;
  log: Log;
  /** How to fetch: the hub's address, the Python to use, deadlines. */
  fetching?: Pick<FetchOptions, 'hubBase' | 'python' | 'answerSeconds' | 'silenceSeconds'>;
}

export interface EmbeddedProvider extends ModelProvider {
  /** Throws KimiError `not_found` when there is no such embedding model. Loads nothing yet. */
  embedding(name: string): Promise<EmbeddingModelV3>;
  /** `recommended`, `starter` or `hub:owner/repository/file.gguf`. */
  pull(
    name: string,
    onProgress: Parameters<NonNullable<ModelProvider['pull']>>[1],
    signal: AbortSignal,
  ): Promise<ModelInfo>;
  /** The model process, while there is one. */
  readonly pid: number | undefined;
}

export function createEmbeddedProvider(options: EmbeddedProviderOptions): EmbeddedProvider {
  const { settings, home, log, fetching = {} } = options;
  const folder = () => modelsFolder(settings().path, home);
  const library = createLibrary(folder, log);
  const client = createEngineClient({ settings, log });
  /** A plan holds while the program runs: another one would load the model anew in the midst of conversations. */
  const plans = new Map<string, ChatSpec>();

  async function find(name: string, ability: 'chat' | 'embed'): Promise<LibraryEntry> {
    const entry = (await library.list()).find(({ info }) => info.name === name);
    if (entry?.info.can[ability]) return entry;
    const what = entry ? `${name} cannot ${ability}` : `There is no model file ${name}.gguf in ${folder()}`;
    throw new KimiError(`${what}. \`kimi models list\` shows what there is.`, { code: 'not_found' });
  }

  function plan(entry: LibraryEntry): ChatSpec {
    const { maxWindow } = profileFor(entry.info);
    const key = `${entry.path} ${entry.header.fileBytes} ${maxWindow}`;
    const known = plans.get(key);
    if (known) return known;
    const memory = Math.min(availableMemory(), machineMemory());
    const spec = { path: entry.path, ...planContext(entry.header, { memory, maxWindow }) };
    plans.set(key, spec);
    return spec;
  }

  async function sourceOf(name: string, signal: AbortSignal): Promise<FetchSource> {
    if (name === 'starter') return STARTER;
    const file = name === 'recommended' ? recommendedFor(machineMemory()) : parseHubName(name);
    const url = hubUrl(fetching.hubBase ?? defaultHub(), file);
    const stated = await askHub(url, 30, signal).catch((error: unknown) => {
      const { message, code } = asKimiError(error);
      if (code !== 'download_failed') throw error;
      throw new KimiError(
        `${message}. Check the network, name a mirror of the hub in HF_ENDPOINT, or use Ollama: \`ollama pull qwen3:4b\`.`,
        { code, retryable: true, cause: error },
      );
    });
    if (stated.sha256 === undefined || stated.bytes === undefined) {
      throw new KimiError(
        `The hub states no hash for ${file.repository}/${file.file}, so it cannot be checked. Choose another file.`,
        { code: 'download_failed' },
      );
    }
    const fileName = basename(file.file);
    return { title: fileName, name: fileName, hub: file, sha256: stated.sha256, bytes: stated.bytes };
  }

  return {
    name: 'embedded',
    async list() {
      return (await library.list()).map(({ info }) => info);
    },
    async chat(name): Promise<ChatModel> {
      const entry = await find(name, 'chat');
      const { info } = entry;
      const spec = plan(entry);
      const profile = profileFor(info);
      return {
        ref: info.ref,
        language: createLanguageModel({ client, modelId: name, spec, profile }),
        profile,
        window: spec.window,
        can: info.can,
        async countTokens(text) {
          const result = await client.call({ type: 'count', model: spec, text });
          return result.type === 'counted' ? result.tokens : text.length;
        },
      };
    },
    async embedding(name) {
      const { path } = await find(name, 'embed');
      return createEmbeddingModel(client, name, path);
    },
    async pull(name, onProgress, signal) {
      const source = await sourceOf(name, signal);
      const path = await fetchPinned(source, { ...fetching, folder: folder(), onProgress, signal });
      const entry = (await library.list()).find((candidate) => candidate.path === path);
      if (entry) return entry.info;
      throw new KimiError(`${join(folder(), source.name)} is no usable model. Choose another one.`, {
        code: 'invalid_argument',
      });
    },
    get pid() {
      return client.pid;
    },
    close: () => client.close(),
  };
}

/** `hub:owner/repository/path/file.gguf`. */
function parseHubName(name: string): HubFile {
  const [, repository, file] = /^hub:([\w.-]+\/[\w.-]+)\/([\w./-]+\.gguf)$/.exec(name) ?? [];
  if (repository === undefined || file === undefined || file.split('/').includes('..')) {
    throw new KimiError(
      `${name} is not a model to fetch: say recommended, starter, or hub:OWNER/REPOSITORY/FILE.gguf.`,
      { code: 'invalid_argument' },
    );
  }
  if (/-\d{5}-of-\d{5}\.gguf$/.test(file)) {
    throw new KimiError(`${name} is split into several files: choose one that is not.`, {
      code: 'invalid_argument',
    });
  }
  return { repository, file };
}
