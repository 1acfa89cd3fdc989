/** The GGUF files in the models folder, and what each can do, told from their headers. */
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Log } from '../../log.ts';
import { type GgufHeader, readGguf } from '../gguf.ts';
import type { ModelInfo } from '../model.ts';
import { contextLength } from './plan.ts';

export interface LibraryEntry {
  path: string;
  header: GgufHeader;
  info: ModelInfo;
}

export interface Library {
  /** All usable models, by name. Files that cannot be read are logged and left out; no folder means none. */
  list(): Promise<LibraryEntry[]>;
}

const SUFFIX = '.gguf';
/** A model in several files is opened by its first; the others are found from there. */
const LATER_PART = /-(?!00001)\d{5}-of-\d{5}\.gguf$/;

/** Architectures that only embed. Others do when the file names a way to pool. */
const ENCODERS = /bert|t5encoder|gemma-embedding/;
/** Parts of models, and models of images or sound: nothing that chats. */
const OTHERS = /^(clip|whisper|flux|sd\d.*|sdxl|wan|wavtokenizer.*)$/;
/** llama.cpp's LLAMA_POOLING_TYPE: 0 none, 1 mean, 2 CLS, 3 last, 4 rank (a reranker). */
const RANKS = 4;

export function createLibrary(folder: () => string, log: Log): Library {
  const known = new Map<string, { stamp: string; entry: LibraryEntry | undefined }>();

  async function read(path: string, name: string): Promise<LibraryEntry | undefined> {
    const { size, mtimeMs } = await stat(path);
    const stamp = `${size} ${mtimeMs}`;
    const seen = known.get(path);
    if (seen?.stamp === stamp) return seen.entry;
    const entry = await readGguf(path).then(
      (header) => ({ path, header, info: describe(name, header) }),
      (error: Error) => {
        log.warn({ path, reason: error.message }, 'a model file cannot be used');
        return undefined;
      },
    );
    known.set(path, { stamp, entry });
    return entry;
  }

  return {
    async list() {
      const at = folder();
      const files = await readdir(at).catch(() => [] as string[]);
      const names = files.filter((file) => file.endsWith(SUFFIX) && !LATER_PART.test(file)).sort();
      const entries = await Promise.all(
        names.map((file) => read(join(at, file), file.slice(0, -SUFFIX.length)).catch(() => undefined)),
      );
      return entries.filter((entry) => entry !== undefined);
    },
  };
}

function describe(name: string, header: GgufHeader): ModelInfo {
  const family = String(header.metadata.get('general.architecture') ?? '');
  const pooling = Number(header.metadata.get(`${family}.pooling_type`) ?? 0);
  const embed = pooling > 0 ? pooling !== RANKS : ENCODERS.test(family);
  const chat = !embed && pooling === 0 && family !== '' && !OTHERS.test(family);
  const window = contextLength(header);
  return {
    ref: `embedded/${name}`,
    provider: 'embedded',
    name,
    family,
    parameters: header.tensors.reduce((sum, tensor) => sum + product(tensor.dimensions), 0),
    bytes: header.fileBytes,
    ...(window !== undefined && { window }),
    can: { chat, embed, tools: false, images: false },
  };
}

function product(dimensions: readonly number[]): number {
  return dimensions.reduce((result, size) => result * size, 1);
}
