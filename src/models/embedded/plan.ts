/** How large a window and how many conversations at once a model gets, by the memory there is. */
import type { GgufHeader } from '../gguf.ts';

export interface Plan {
  /** Tokens a conversation may take. */
  window: number;
  /** Conversations at once. */
  sequences: number;
}

/** Below this no conversation is worth having; it is tried even where memory seems too short. */
const LEAST_WINDOW = 1_024;
const STEP = 256;
const MOST_SEQUENCES = 4;
/** The engine, its compute buffers, and a copy of some weights in the layout the processor likes. */
const OVERHEAD_BYTES = 256 * 1024 ** 2;
const COPY_SHARE = 0.25;

/**
 * Plans a model's context. Half of the memory that the weights leave goes to one conversation's window at most;
 * further conversations are added while they fit into a quarter.
 */
export function planContext(header: GgufHeader, limits: { memory: number; maxWindow: number }): Plan {
  const trained = contextLength(header) ?? LEAST_WINDOW * 2;
  const wanted = Math.min(trained, limits.maxWindow);
  const room = Math.max(0, limits.memory - header.fileBytes * (1 + COPY_SHARE) - OVERHEAD_BYTES);
  const perToken = tokenBytes(header);
  const affordable = Math.floor(room / 2 / perToken / STEP) * STEP;
  const window = Math.min(wanted, Math.max(affordable, LEAST_WINDOW));
  const sequences = Math.floor(room / 4 / (perToken * window));
  return { window, sequences: Math.min(MOST_SEQUENCES, Math.max(1, sequences)) };
}

/** The longest window that the model was trained for. */
export function contextLength(header: GgufHeader): number | undefined {
  return value(header, 'context_length');
}

/**
 * Bytes that one token takes in the key-value cache: keys and values of two bytes (F16), per layer and head.
 * Where the file does not tell, an amount that errs high.
 */
function tokenBytes(header: GgufHeader): number {
  const layers = value(header, 'block_count') ?? 64;
  const heads = value(header, 'attention.head_count') ?? 32;
  const width = value(header, 'embedding_length') ?? heads * 128;
  const keyHeads = value(header, 'attention.head_count_kv') ?? heads;
  const keyLength = value(header, 'attention.key_length') ?? width / heads;
  const valueLength = value(header, 'attention.value_length') ?? width / heads;
  return layers * keyHeads * (keyLength + valueLength) * 2;
}

/** A number of the model's architecture; of one that varies by layer, the largest. */
function value(header: GgufHeader, key: string): number | undefined {
  const found = header.metadata.get(`${header.metadata.get('general.architecture')}.${key}`);
  const number = Array.isArray(found) ? Math.max(...found) : found;
  return typeof number === 'number' && number > 0 ? number : undefined;
}
