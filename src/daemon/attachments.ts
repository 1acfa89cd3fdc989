/** Files that came with messages: fetched from the platform, sniffed, capped, kept for a while. */
import { createWriteStream } from 'node:fs';
import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { Adapter } from '../adapters/adapter.ts';
import { asKimiError, KimiError } from '../errors.ts';
import type { Attachment } from '../message.ts';

/** What is older is deleted: an answer needs a file for a minute, a follow-up question for a day or two. */
const KEEP_MS = 7 * 86_400_000;

export interface AttachmentStore {
  /**
   * Brings an attachment to disk. Throws KimiError `refused` when it is larger than the platform or the limit lets
   * it be, or gone.
   */
  fetch(adapter: Adapter, attachment: Attachment, turn: string, signal: AbortSignal): Promise<Attachment>;
  /** Deletes the files of these turns. */
  remove(turns: readonly string[]): Promise<void>;
  /** Deletes what is old. */
  prune(now: number): Promise<void>;
}

/** @param limit The largest file that is taken in, in bytes. */
export function createAttachmentStore(folder: string, limit: () => number): AttachmentStore {
  const folderOf = (turn: string) => join(folder, turn.replace(/[^a-z0-9]/gi, '_'));

  return {
    async fetch(adapter, attachment, turn, signal) {
      if ('path' in attachment.source) return attachment;
      const most = Math.min(limit(), adapter.fileLimits?.download ?? 0);
      if (attachment.bytes > most) throw tooBig(attachment, most);
      if (!adapter.download) throw new KimiError(`${adapter.name} hands over no files.`, { code: 'refused' });
      const into = folderOf(turn);
      await mkdir(into, { recursive: true, mode: 0o700 });
      const path = join(into, safeName(attachment.name, (await readdir(into)).length));
      let bytes = 0;
      try {
        const source = await adapter.download(attachment, signal);
        const capped = async function* () {
          for await (const chunk of source) {
            bytes += chunk.length;
            if (bytes > most) throw tooBig(attachment, most);
            yield chunk;
          }
        };
        await pipeline(capped, createWriteStream(path, { mode: 0o600 }), { signal });
      } catch (error) {
        await rm(path, { force: true });
        throw asKimiError(error);
      }
      return { ...attachment, ...(await sniff(path, attachment)), bytes, source: { path } };
    },

    async remove(turns) {
      const there = new Set(await readdir(folder).catch(() => []));
      for (const path of turns.map(folderOf)) {
        if (there.has(basename(path))) await rm(path, { recursive: true, force: true });
      }
    },

    async prune(now) {
      for (const name of await readdir(folder).catch(() => [])) {
        const path = join(folder, name);
        if ((await stat(path)).mtimeMs < now - KEEP_MS) await rm(path, { recursive: true, force: true });
      }
    },
  };
}

/** What a file is by its bytes; what the platform said, where they do not tell. */
async function sniff(path: string, said: Attachment): Promise<Pick<Attachment, 'kind' | 'mediaType'>> {
  const { fileTypeFromFile } = await import('file-type');
  const mediaType = (await fileTypeFromFile(path))?.mime;
  if (mediaType) return { mediaType, kind: kindOf(mediaType) };
  // An image or a sound shows itself in its first bytes: without them it is none, whatever its name says.
  return said.kind === 'document' ? said : { mediaType: 'application/octet-stream', kind: 'document' };
}

function kindOf(mediaType: string): Attachment['kind'] {
  if (mediaType.startsWith('image/')) return 'image';
  return mediaType.startsWith('audio/') ? 'audio' : 'document';
}

function tooBig({ name, bytes }: Attachment, most: number): KimiError {
  const megabytes = (size: number) => `${(size / 1e6).toFixed(size < 1e7 ? 1 : 0)} MB`;
  const size = bytes > 0 ? ` (${megabytes(bytes)})` : '';
  return new KimiError(`${name}${size} is too big: send at most ${megabytes(most)}.`, { code: 'refused' });
}

/** A name that stays within its folder, whatever the sender called the file. */
function safeName(name: string, number: number): string {
  const plain = basename(name)
    .replace(/[^\p{L}\p{N}._-]/gu, '_')
    .replace(/^\.+/, '')
    .slice(-80);
  return `${number}-${plain || 'file'}`;
}
