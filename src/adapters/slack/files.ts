/** Files in and out. The bot token goes to Slack alone, and a file's content to nobody else. */
import { openAsBlob } from 'node:fs';
import { KimiError } from '../../errors.ts';
import type { Attachment, Outbound } from '../../message.ts';
import { GivenUp, withDeadline } from '../deadline.ts';
import type { Markup } from '../markup.ts';
import { CallError, ownError, type SlackApi } from './api.ts';
import type { Timing } from './timing.ts';

/** https://slack.com/help/articles/201330736-Add-files-to-Slack: 1 GB. */
export const FILE_LIMIT = 1_000_000_000;

const MOST_REDIRECTS = 3;

export interface Files {
  /** Resolves with the file's id, once Slack has taken it and will show it in its room. */
  upload(outbound: Outbound, file: Attachment, caption: string, signal: AbortSignal): Promise<string>;
  download(attachment: Attachment, signal: AbortSignal): Promise<AsyncIterable<Uint8Array>>;
}

export interface FilesOptions {
  api: SlackApi;
  botToken: string;
  markup(): Promise<Markup>;
  timing: Timing;
}

export function createFiles({ api, botToken, markup, timing }: FilesOptions): Files {
  /** An address that is Slack's, or of the API that the configuration names. Throws `refused` for any other. */
  function trusted(address: string | null | undefined, base?: URL): URL {
    const url = address && URL.canParse(address, base?.href) ? new URL(address, base) : undefined;
    if (url && (url.origin === api.url.origin || isSlacks(url, api.url.hostname))) return url;
    throw new KimiError('Slack named an address for a file that is not its own. Send the file again.', {
      code: 'refused',
    });
  }

  async function putBytes(address: string | undefined, blob: Blob, name: string, signal: AbortSignal) {
    const url = trusted(address);
    try {
      // Not by the library: it would send the token along.
      await withDeadline(timing.transferMs, signal, async (abort) => {
        const response = await fetch(url, { method: 'POST', body: blob, redirect: 'error', signal: abort });
        await response.body?.cancel();
        if (!response.ok) throw new Error(`server error ${response.status}`);
      });
    } catch (error) {
      // Until the next step nobody sees anything of the file: it can be repeated.
      throw new KimiError(`${name} could not be handed to Slack. Check the network; it is tried again.`, {
        code: error instanceof GivenUp && error.why === 'aborted' ? 'stopped' : 'network',
        retryable: true,
      });
    }
  }

  /** Follows redirects as long as they stay with Slack. */
  async function getBytes(address: string | undefined, attachment: Attachment, signal: AbortSignal) {
    let url = trusted(address);
    for (let redirects = 0; ; redirects++) {
      const headers = { authorization: `Bearer ${botToken}` };
      const response = await fetch(url, { headers, redirect: 'manual', signal });
      const location = response.headers.get('location');
      if (response.ok && response.body && !isSignIn(response, attachment)) return response.body;
      await response.body?.cancel();
      if (response.status >= 500) {
        throw new KimiError(`Slack could not hand over ${attachment.name} (${response.status}). Try again.`, {
          code: 'network',
          retryable: true,
        });
      }
      if (location === null || redirects === MOST_REDIRECTS) throw gone(attachment);
      url = trusted(location, url);
    }
  }

  return {
    async upload({ conversation }, file, caption, signal) {
      const blob = await open(file);
      const filename = file.name.replace(/\p{Surrogate}/gu, '\ufffd') || 'file';
      const { upload_url, file_id: id } = await api.call('send a file', signal, async (client) => {
        const place = await client.files.getUploadURLExternal({ filename, length: blob.size });
        if (!place.file_id) throw new TypeError('no file in the answer');
        return { ...place, file_id: place.file_id };
      });
      await putBytes(upload_url, blob, filename, signal);
      const comment = caption === '' ? '' : (await markup()).slack(caption, CAPTION_LIMIT);
      await api.call('send a file', signal, (client) =>
        client.files.completeUploadExternal({
          files: [{ id, title: filename }],
          channel_id: conversation.chat,
          ...(conversation.thread !== undefined && { thread_ts: conversation.thread }),
          ...(comment !== '' && { initial_comment: comment }),
        }),
      );
      return id;
    },

    async download(attachment, signal) {
      const id = 'platformId' in attachment.source ? attachment.source.platformId : '';
      const { file } = await api.call('fetch a file', signal, (client) => client.files.info({ file: id }));
      const reading = new AbortController();
      const giveUp = (): void => reading.abort();
      const timer = setTimeout(giveUp, timing.transferMs);
      signal.addEventListener('abort', giveUp, { once: true });
      const finish = (): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', giveUp);
      };

      const translated = (error: unknown): KimiError => {
        const why = signal.aborted ? 'aborted' : 'timeout';
        const cause = signal.aborted || reading.signal.aborted ? new GivenUp(why) : error;
        return error instanceof KimiError ? error : ownError(CallError.of(cause, 'fetch a file', 'botToken'));
      };

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

      try {
        signal.throwIfAborted();
        const address = file?.url_private_download ?? file?.url_private;
        return chunks(await getBytes(address, attachment, reading.signal));
      } catch (error) {
        finish();
        throw translated(error);
      }
    },
  };
}

/** A caption is a message that cannot be edited, and may be as long as any. */
const CAPTION_LIMIT = 40_000;

function isSlacks({ protocol, hostname }: URL, apiHost: string): boolean {
  return protocol === 'https:' && ['slack.com', apiHost].some((host) => `.${hostname}`.endsWith(`.${host}`));
}

/** Those who may not have a file get the page to sign in instead. */
function isSignIn(response: Response, { mediaType, name }: Attachment): boolean {
  const isPage = response.headers.get('content-type')?.startsWith('text/html') === true;
  return isPage && !mediaType.startsWith('text/html') && !/\.html?$/i.test(name);
}

async function open({ source, name, mediaType }: Attachment): Promise<Blob> {
  try {
    if (!('path' in source)) throw new TypeError('not on disk');
    return await openAsBlob(source.path, { type: mediaType });
  } catch {
    throw new KimiError(`${name} is not on disk any more. Ask for it again.`, { code: 'refused' });
  }
}

function gone({ name }: Attachment): KimiError {
  return new KimiError(
    `${name} cannot be fetched from Slack: it is gone, or the app lacks files:read. Send it again.`,
    { code: 'refused' },
  );
}
