/** Files that came with messages, fetched from Discord's file servers. */
import { KimiError } from '../../errors.ts';
import type { Attachment } from '../../message.ts';
import { diagnose, toKimiError } from './errors.ts';

/** A bot may send 10 MiB where nobody pays for more; people with a subscription send up to 500 MB. */
export const FILE_LIMITS = { download: 500_000_000, upload: 10 * 1_024 * 1_024 };

const HOSTS = ['cdn.discordapp.com', 'media.discordapp.net'];

/**
 * Fetches a file, without our token. Only from Discord's own hosts, and from that of `apiUrl` where it is another: an
 * address that comes with a message must not lead into the user's own network.
 */
export async function download(
  { name, source }: Attachment,
  apiUrl: string,
  signal: AbortSignal,
): Promise<AsyncIterable<Uint8Array>> {
  const url =
    'platformId' in source && URL.canParse(source.platformId) ? new URL(source.platformId) : undefined;
  if (!url || !isDiscords(url, new URL(apiUrl))) {
    throw new KimiError(`${name} is not kept by Discord, so it is not fetched. Send the file itself.`, {
      code: 'refused',
    });
  }
  const response = await fetch(url, { signal, redirect: 'error' }).catch((error: unknown) => {
    throw toKimiError(signal.aborted ? { kind: 'aborted' } : diagnose(error), 'fetch a file');
  });
  if (response.ok && response.body) return response.body;
  await response.body?.cancel();
  // Addresses hold for a day: https://discord.com/developers/docs/reference#signed-attachment-cdn-urls
  if ([403, 404, 410].includes(response.status)) {
    throw new KimiError(`Discord has ${name} no more: its address ran out. Send it again.`, {
      code: 'refused',
    });
  }
  throw new KimiError(`Discord could not hand over ${name} (${response.status}). It is tried again.`, {
    code: 'network',
    retryable: true,
  });
}

function isDiscords(url: URL, api: URL): boolean {
  if (url.protocol === 'https:' && HOSTS.includes(url.hostname)) return true;
  return api.hostname !== 'discord.com' && url.origin === api.origin;
}
