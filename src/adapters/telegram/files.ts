/** Files in and out. */
import { openAsBlob } from 'node:fs';
import { KimiError } from '../../errors.ts';
import type { Attachment } from '../../message.ts';
import { innermostCode } from '../network.ts';
import { CallError, ownError, type TelegramApi } from './api.ts';

/** What api.telegram.org hands over and takes: https://core.telegram.org/bots/api#sending-files */
export const FILE_LIMITS = { download: 20_000_000, upload: 50_000_000 };
/** Photos may be no larger; what is goes out as a document. */
const PHOTO_LIMIT = 10_000_000;

export type SendMethod = 'sendPhoto' | 'sendVoice' | 'sendAudio' | 'sendDocument';

/** How Telegram shows a file of this kind best. */
export function methodFor({ kind, mediaType, bytes }: Attachment): SendMethod {
  if (kind === 'image' && bytes <= PHOTO_LIMIT && /^image\/(jpeg|png|webp)$/.test(mediaType))
    return 'sendPhoto';
  if (kind === 'audio') return mediaType === 'audio/ogg' ? 'sendVoice' : 'sendAudio';
  return 'sendDocument';
}

/** A file as the library sends it: read from disk while it goes out, with nothing left open when it does not. */
export async function inputFile(file: Attachment) {
  const { InputFile } = await import('node-telegram-bot-api');
  const path = 'path' in file.source ? file.source.path : '';
  const blob = await openAsBlob(path, { type: file.mediaType }).catch((cause: unknown) => {
    throw new KimiError(`${file.name} is not on this machine any more. Make it again.`, {
      code: 'refused',
      cause,
    });
  });
  return new InputFile(blob, { filename: file.name, contentType: file.mediaType });
}

export interface DownloadOptions {
  api: TelegramApi;
  token: string;
  apiRoot: string;
  timeoutMs: number;
}

/** The bytes of a file that somebody sent. Ends when nothing comes for `timeoutMs`. */
export async function download(
  { api, token, apiRoot, timeoutMs }: DownloadOptions,
  attachment: Attachment,
  signal: AbortSignal,
): Promise<AsyncIterable<Uint8Array>> {
  const file_id = 'platformId' in attachment.source ? attachment.source.platformId : '';
  const path = await api
    .call(
      'fetch a file',
      timeoutMs,
      signal,
      async (bot, abort) => (await bot.getFile({ file_id }, abort)).file_path,
    )
    .catch((error: unknown) => {
      const isRefusal =
        error instanceof CallError && error.trouble.kind === 'api' && error.trouble.code === 400;
      throw isRefusal ? gone(attachment) : ownError(error);
    });
  // A Bot API server of one's own may name a path on its own disk: that is nothing we may read.
  if (path === undefined || path.startsWith('/') || path.includes('..')) throw gone(attachment);

  const reading = new AbortController();
  const giveUp = () => reading.abort();
  const timer = setTimeout(giveUp, timeoutMs);
  signal.addEventListener('abort', giveUp, { once: true });
  const finish = () => {
    clearTimeout(timer);
    signal.removeEventListener('abort', giveUp);
  };
  try {
    const response = await fetch(`${apiRoot}/file/bot${token}/${path}`, {
      signal: reading.signal,
      redirect: 'error',
    });
    if (!response.ok || !response.body) {
      await response.body?.cancel();
      throw response.status >= 500 ? failed(attachment, `status ${response.status}`) : gone(attachment);
    }
    return chunks(response.body);
  } catch (error) {
    finish();
    throw translated(error);
  }

  async function* chunks(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    try {
      for await (const bytes of body) {
        timer.refresh();
        yield bytes;
      }
    } catch (error) {
      throw translated(error);
    } finally {
      finish();
    }
  }

  /** Only a code of it: the error itself holds the address, and so the token. */
  function translated(error: unknown): KimiError {
    if (error instanceof KimiError) return error;
    if (signal.aborted) return new KimiError('Stopped.', { code: 'stopped' });
    return failed(
      attachment,
      reading.signal.aborted ? 'nothing came' : (innermostCode(error) ?? 'the connection broke'),
    );
  }
}

function failed({ name }: Attachment, why: string): KimiError {
  return new KimiError(`Telegram did not hand over ${name} (${why}). Send it again.`, {
    code: 'network',
    retryable: true,
  });
}

function gone({ name }: Attachment): KimiError {
  return new KimiError(`Telegram does not hand over ${name} any more. Send it again.`, { code: 'refused' });
}
