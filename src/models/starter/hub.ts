/** Files of the model hub: what it says of them, and fetching them in a short-lived process. */
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { KimiError } from '../../errors.ts';
import type { DownloadOrder, DownloadReport } from './download-host.ts';

/** A file on the hub. */
export interface HubFile {
  repository: string;
  file: string;
}

/** What the hub states about a file before it is fetched. */
export interface HubStatement {
  /** SHA-256 in hex, for files that the hub keeps as large ones; all models are. */
  sha256?: string;
  bytes?: number;
}

/** Where the hub is: `HF_ENDPOINT` names a mirror, as the hub's own tools have it. */
export function defaultHub(): string {
  return process.env.HF_ENDPOINT || 'https://huggingface.co';
}

export function hubUrl(hubBase: string, { repository, file }: HubFile): string {
  const path = `${repository}/resolve/main/${file}`.split('/').map(encodeURIComponent).join('/');
  return `${hubBase.replace(/\/+$/, '')}/${path}`;
}

/**
 * Asks the hub for a file's headers. Throws KimiError `download_failed` when it has no such file, or does not
 * answer within `answerSeconds`.
 */
export async function askHub(url: string, answerSeconds: number, signal: AbortSignal): Promise<HubStatement> {
  const silence = AbortSignal.timeout(answerSeconds * 1_000);
  const { host } = new URL(url);
  // Not followed: the hub states hash and size in its own answer, not in that of the store it points to.
  const options = { method: 'HEAD', redirect: 'manual', signal: AbortSignal.any([signal, silence]) } as const;
  const response = await fetch(url, options).catch((error: Error) => {
    signal.throwIfAborted();
    if (silence.aborted) throw failed(`${host} did not answer within ${answerSeconds} s`);
    const cause = error.cause instanceof Error ? error.cause.message : error.message;
    throw failed(`${host} cannot be reached (${cause})`);
  });
  if (response.status >= 400)
    throw failed(`${host} answered ${response.status} for ${new URL(url).pathname}`);
  const hash = /[0-9a-f]{64}/.exec(response.headers.get('x-linked-etag') ?? '')?.[0];
  const bytes = Number(response.headers.get('x-linked-size') ?? Number.NaN);
  return { ...(hash !== undefined && { sha256: hash }), ...(bytes > 0 && { bytes }) };
}

export interface DownloadOptions {
  url: string;
  folder: string;
  name: string;
  onBytes: (done: number) => void;
  signal: AbortSignal;
  /** A download that brings nothing for so long is given up; what has come is kept. */
  silenceSeconds: number;
}

const SOURCE = import.meta.url.endsWith('.ts');
const ENTRY = new URL(SOURCE ? './download-host.ts' : './download-host.js', import.meta.url);
/** How long the process may take to note how far it came, before it is ended. */
const GRACE_MS = 2_000;

/**
 * Fetches `url` to `folder`/`name`. What an earlier attempt left in that folder is continued.
 * Throws KimiError `download_failed`, or the signal's reason.
 */
export function downloadFromHub(options: DownloadOptions): Promise<void> {
  const { url, folder, name, onBytes, signal, silenceSeconds } = options;
  const order: DownloadOrder = { url, folder, name };
  const child = fork(fileURLToPath(ENTRY), [JSON.stringify(order)], {
    execArgv: SOURCE ? ['--import', import.meta.resolve('tsx')] : [],
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
  });
  return new Promise((resolve, reject) => {
    let outcome: Error | 'done' = failed('the download process ended unexpectedly');
    const end = (how: Error | 'done') => {
      outcome = how;
      // Its channel closed, the process notes how far it came and ends.
      if (child.connected) child.disconnect();
      setTimeout(() => child.kill('SIGKILL'), GRACE_MS).unref();
    };
    const onSilence = () => end(failed(`no data came for ${silenceSeconds} s`));
    let silence = setTimeout(onSilence, silenceSeconds * 1_000);
    let last = 0;
    const onAbort = () => end(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();

    child.on('message', (report: DownloadReport) => {
      if (report.type === 'done') end('done');
      else if (report.type === 'failed') end(failed(report.message));
      else if (report.bytes !== last) {
        last = report.bytes;
        clearTimeout(silence);
        silence = setTimeout(onSilence, silenceSeconds * 1_000);
        onBytes(report.bytes);
      }
    });
    const settle = () => {
      clearTimeout(silence);
      signal.removeEventListener('abort', onAbort);
      if (outcome === 'done') resolve();
      else reject(outcome);
    };
    child.once('error', (error) => {
      outcome = failed(error.message);
      settle();
    });
    // Not `close`: after a disconnect from this side it may never come.
    child.once('exit', settle);
  });
}

function failed(message: string): KimiError {
  return new KimiError(message, { code: 'download_failed', retryable: true });
}
