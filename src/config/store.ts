/** The configuration as it is now: file → watch → reload → listeners. A bad edit changes nothing. */
import { existsSync, type FSWatcher, realpathSync, watch } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { Config } from '../config.ts';
import { asKimiError, KimiError } from '../errors.ts';
import type { Log } from '../log.ts';
import { CONFIG_FILE } from './home.ts';
import { type LoadedConfig, loadConfig } from './load.ts';

/** Called after a change, with the dotted paths of the values that differ. */
export type ConfigListener = (config: Config, changed: readonly string[]) => void;

export interface ReloadResult {
  ok: boolean;
  /** Why the file was not taken; the last good configuration still holds. */
  error?: KimiError;
  /** Dotted paths of the values that differ from before. */
  changed: string[];
}

export interface ConfigStore {
  readonly path: string;
  current(): Config;
  /** Every secret that was ever loaded: one that was replaced may still turn up in a late error. */
  secrets(): readonly string[];
  warnings(): readonly string[];
  notes(): readonly string[];
  /** What is wrong with the file now, while an earlier state of it holds. */
  error(): KimiError | undefined;
  reload(): ReloadResult;
  /** From the first call on, the file is watched. The process may end while it is. */
  watch(listener: ConfigListener): void;
  /** Where reloads are logged from now on: the log itself needs the configuration first. */
  useLog(log: Log): void;
  close(): void;
}

/** An editor writes in several steps; what counts is the file once it has come to rest. */
const DEBOUNCE_MS = 150;

/** Loads the configuration of this home. Throws KimiError `config_invalid`, this first time only. */
export function createConfigStore(home: string, options: { log?: Log } = {}): ConfigStore {
  let log = options.log;
  let loaded: LoadedConfig = loadConfig(home);
  let secrets: readonly string[] = loaded.secrets;
  let lastError: KimiError | undefined;
  let debounce: NodeJS.Timeout | undefined;
  let watchers: FSWatcher[] | undefined;
  const listeners: ConfigListener[] = [];

  const fail = (error: KimiError): ReloadResult => {
    lastError = error;
    log?.error({ err: error }, 'config.yaml is not valid: the last good configuration stays');
    return { ok: false, error, changed: [] };
  };

  const reload = (): ReloadResult => {
    if (!existsSync(loaded.path)) {
      return fail(
        new KimiError(`${loaded.path} is gone. Put it back, or restart to run with the defaults.`, {
          code: 'config_invalid',
        }),
      );
    }
    let next: LoadedConfig;
    try {
      next = loadConfig(home);
    } catch (error) {
      return fail(asKimiError(error));
    }
    const changed = changedPaths(loaded.config, next.config);
    loaded = next;
    lastError = undefined;
    const added = next.secrets.filter((secret) => !secrets.includes(secret));
    if (added.length > 0) secrets = [...secrets, ...added];
    for (const warning of next.warnings) log?.warn(warning);
    if (changed.length > 0) {
      log?.info({ changed }, 'configuration changed');
      for (const listener of listeners) tell(listener, next.config, changed);
    }
    return { ok: true, changed };
  };

  const tell = (listener: ConfigListener, config: Config, changed: readonly string[]): void => {
    try {
      listener(config, changed);
    } catch (error) {
      log?.error({ err: error }, 'a part of the daemon could not take the new configuration');
    }
  };

  const later = (): void => {
    clearTimeout(debounce);
    debounce = setTimeout(reload, DEBOUNCE_MS).unref();
  };

  return {
    path: loaded.path,
    current: () => loaded.config,
    secrets: () => secrets,
    warnings: () => loaded.warnings,
    notes: () => loaded.notes,
    error: () => lastError,
    reload,
    watch(listener) {
      listeners.push(listener);
      watchers ??= watchFile(join(home, CONFIG_FILE), later, (error) =>
        log?.warn({ err: error }, 'config.yaml cannot be watched: changes apply after a restart'),
      );
    },
    useLog(next) {
      log = next;
    },
    close() {
      clearTimeout(debounce);
      for (const watcher of watchers ?? []) watcher.close();
      listeners.length = 0;
    },
  };
}

/**
 * Watches the folder, not the file: editors replace a file by renaming another over it, and a watch on the file
 * would stay with the old one. Where the file is a link, the folder of its target is watched too.
 */
function watchFile(path: string, onChange: () => void, onError: (error: unknown) => void): FSWatcher[] {
  const targets = new Map([[dirname(path), basename(path)]]);
  try {
    const real = realpathSync(path);
    if (dirname(real) !== realpathSync(dirname(path))) targets.set(dirname(real), basename(real));
  } catch {
    // No file yet: the folder is enough to see it come.
  }
  const watchers: FSWatcher[] = [];
  for (const [folder, name] of targets) {
    try {
      const watcher = watch(folder, { persistent: false }, (_event, changed) => {
        if (changed === null || changed === name) onChange();
      });
      watcher.on('error', onError);
      watchers.push(watcher);
    } catch (error) {
      onError(error);
    }
  }
  return watchers;
}

/** Dotted paths of the values that differ; a list counts as one value. */
function changedPaths(before: unknown, after: unknown, path: string[] = []): string[] {
  if (!isSection(before) || !isSection(after)) {
    return JSON.stringify(before) === JSON.stringify(after) ? [] : [path.join('.')];
  }
  const keys = new Set([...Object.keys(before), ...Object.keys(after)]);
  return [...keys].flatMap((key) => changedPaths(before[key], after[key], [...path, key]));
}

function isSection(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
