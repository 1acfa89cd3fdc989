/** Fetches the starter in the background, again and again until it is there or no longer needed. */
import { setTimeout as sleep } from 'node:timers/promises';
import { asKimiError, type KimiError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { Waiting } from './chat.ts';
import type { Progress, Starter } from './model.ts';

export interface StartingOptions {
  starter: Starter;
  /** Asked before each attempt: something else may have come that can chat. */
  needed: () => Promise<boolean>;
  /** Called once it is there. */
  onReady: () => void;
  log: Log;
  /** Between two attempts; the last is repeated. A quarter is added at random, so that many machines do not ask at once. */
  delaysMs?: readonly number[];
}

export interface Starting {
  /** Begins, unless it has, or has given up. */
  run(): void;
  /** Lets it begin again after it has given up: something has changed. */
  reset(): void;
  /** What to wait for while an attempt is under way; undefined between attempts, since that may last. */
  waiting(): Promise<Waiting | undefined>;
  /** Why the last attempt failed. */
  failure(): KimiError | undefined;
  close(): Promise<void>;
}

const DELAYS_MS = [5_000, 15_000, 60_000, 300_000] as const;
/** More often than this nobody is told of progress. */
const PROGRESS_INTERVAL_MS = 500;

export function createStarting(options: StartingOptions): Starting {
  const { starter, needed, onReady, log, delaysMs = DELAYS_MS } = options;
  const closing = new AbortController();
  const signal = closing.signal;
  let running: Promise<void> | undefined;
  let deciding: Promise<boolean> | undefined;
  let attempt: { progress: Progress; changed: Promise<void>; wake: () => void } | undefined;
  let failure: KimiError | undefined;
  let givenUp = false;

  async function run(): Promise<void> {
    for (let failures = 0; !signal.aborted && (await decide()); failures++) {
      if (await fetchOnce()) return onReady();
      // A file with a wrong hash will not be another one in a minute, and it is large.
      if (failure?.code === 'hash_mismatch') {
        givenUp = true;
        return;
      }
      const delay = delaysMs[Math.min(failures, delaysMs.length - 1)] ?? 0;
      await sleep(delay * (1 + Math.random() / 4), undefined, { signal, ref: false }).catch(() => {});
    }
  }

  /** Sets `attempt` in the same moment in which it is decided, so that nobody sees a gap between the two. */
  function decide(): Promise<boolean> {
    deciding = needed().then((yes) => {
      if (yes) attempt = { progress: { what: 'the starter model', done: 0 }, ...deferred() };
      return yes;
    });
    return deciding;
  }

  async function fetchOnce(): Promise<boolean> {
    log.info(starter.describe());
    let told = 0;
    try {
      await starter.fetch((progress) => {
        if (!attempt) return;
        attempt.progress = progress;
        if (Date.now() - told < PROGRESS_INTERVAL_MS) return;
        told = Date.now();
        const { wake } = attempt;
        attempt = { progress, ...deferred() };
        wake();
      }, signal);
      failure = undefined;
      log.info('the starter model is there');
      return true;
    } catch (error) {
      failure = asKimiError(error);
      if (!signal.aborted)
        log.warn({ code: failure.code, err: failure }, 'the starter model could not be fetched');
      return false;
    } finally {
      const ended = attempt;
      attempt = undefined;
      ended?.wake();
    }
  }

  return {
    run() {
      if (signal.aborted || givenUp) return;
      running ??= run()
        .catch((error: unknown) => log.error({ err: error }, 'fetching the starter model was given up'))
        .finally(() => {
          running = undefined;
        });
    },
    reset() {
      givenUp = false;
      failure = undefined;
    },
    async waiting() {
      await deciding?.catch(() => {});
      return attempt && { progress: attempt.progress, changed: attempt.changed };
    },
    failure: () => failure,
    async close() {
      closing.abort();
      await running;
    },
  };
}

function deferred(): { changed: Promise<void>; wake: () => void } {
  let wake = () => {};
  const changed = new Promise<void>((resolve) => {
    wake = resolve;
  });
  return { changed, wake };
}
