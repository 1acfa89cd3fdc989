/** How many threads may compute here: more threads than cores make llama.cpp two hundred times slower. */
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';

export interface CoresSource {
  /** The cores that the scheduler lets this process run on. */
  parallelism: number;
  /** Text of a file, or undefined where there is none: /proc and /sys exist on Linux alone. */
  read(path: string): string | undefined;
}

const system: CoresSource = {
  parallelism: availableParallelism(),
  read(path) {
    try {
      return readFileSync(path, 'utf8');
    } catch {
      return undefined;
    }
  },
};

/**
 * The cores that this process may use, at least 1: its CPU affinity, and on Linux the quota of its control
 * groups (v2 `cpu.max`, v1 `cpu.cfs_quota_us`), rounded down so that the quota is never exceeded.
 */
export function usableCores(source: CoresSource = system): number {
  const groups = source.read('/proc/self/cgroup') ?? '';
  const quotas = groups.split('\n').flatMap((line) => {
    const [, controllers, path] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    if (controllers === undefined || path === undefined) return [];
    if (controllers === '') return ancestors(path).map((at) => quotaV2(source, `/sys/fs/cgroup${at}`));
    if (!controllers.split(',').includes('cpu')) return [];
    return ancestors(path).map((at) => quotaV1(source, `/sys/fs/cgroup/${controllers}${at}`));
  });
  return Math.max(1, Math.floor(Math.min(source.parallelism, ...quotas)));
}

/**
 * How many threads a model computes with: what is configured, but never more than the usable cores. By default one
 * core is left free. The threads of one step wait for each other, so one that the system has just put aside stalls
 * them all; and the main loop, which runs between the steps, needs a core too. Seen with the starter on two cores:
 * one thread writes 130 tokens/s and two write 60; with others at work, one reads 400 tokens/s and two read 150
 * (undisturbed 830).
 */
export function computeThreads(configured?: number, cores = usableCores()): number {
  return Math.min(configured ?? Math.max(1, cores - 1), cores);
}

/** `/a/b` → `/a/b`, `/a`, ``: a limit holds for all groups below, and in a container only the root may be seen. */
function ancestors(path: string): string[] {
  const parts = path.split('/').filter((part) => part !== '');
  return parts.map((_, index) => `/${parts.slice(0, parts.length - index).join('/')}`).concat('');
}

function quotaV2(source: CoresSource, folder: string): number {
  const [quota, period] = (source.read(`${folder}/cpu.max`) ?? '').trim().split(/\s+/);
  return share(Number(quota), Number(period));
}

function quotaV1(source: CoresSource, folder: string): number {
  return share(
    Number(source.read(`${folder}/cpu.cfs_quota_us`)),
    Number(source.read(`${folder}/cpu.cfs_period_us`)),
  );
}

/** `max` (v2), -1 (v1) and files that are absent all mean: no limit. */
function share(quota: number, period: number): number {
  return quota > 0 && period > 0 ? quota / period : Number.POSITIVE_INFINITY;
}
