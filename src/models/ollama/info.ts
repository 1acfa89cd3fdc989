/** What Ollama tells of a model, as a ModelInfo and as the cost of its window. */
import type { ModelResponse, ShowResponse } from 'ollama';
import type { ModelInfo } from '../model.ts';

/** What is known of a model beyond its ModelInfo. */
export interface OllamaModel {
  info: ModelInfo;
  /** Bytes of memory that one token of the window takes. */
  bytesPerToken: number;
  thinks: boolean;
}

/** Of an 8 B model with grouped attention: 2 (keys, values) × 32 layers × 8 heads × 128 × 2 bytes. */
const USUAL_BYTES_PER_TOKEN = 131_072;

/** Families that only embed, for servers too old to list capabilities. */
const EMBEDDERS = /bert|minilm|embed|bge|gte-/i;
const SEERS = /clip|mllama|vision|llava/i;

/**
 * Makes sense of an entry of /api/tags and, where it was asked for, of /api/show. Without the latter, or from a server
 * that lists no capabilities, they are guessed by family, and tools are denied.
 */
export function describe(tag: Partial<ModelResponse> & { name: string }, show?: ShowResponse): OllamaModel {
  const { name } = tag;
  const details = { ...tag.details, ...show?.details };
  const facts = new Map(Object.entries(show?.model_info ?? {}));
  const architecture = text(facts.get('general.architecture')) ?? '';
  const fact = (key: string) => number(facts.get(`${architecture}.${key}`));

  const families = [name, details.family, ...(details.families ?? [])].join(' ');
  const capabilities = show?.capabilities;
  const embed = capabilities ? capabilities.includes('embedding') : EMBEDDERS.test(families);
  const info: ModelInfo = {
    ref: `ollama/${name}`,
    provider: 'ollama',
    name,
    can: {
      chat: capabilities ? capabilities.includes('completion') : !embed,
      embed,
      tools: capabilities?.includes('tools') ?? false,
      images: capabilities ? capabilities.includes('vision') : SEERS.test(families),
    },
  };
  const family = text(details.family) ?? architecture;
  if (family !== '') info.family = family;
  const parameters = number(facts.get('general.parameter_count')) ?? parseCount(details.parameter_size);
  if (parameters !== undefined) info.parameters = parameters;
  const window = fact('context_length');
  if (window !== undefined) info.window = window;
  // The size of a remote model is that of the note about it.
  if (isRemote(name, { ...tag, ...show })) info.remote = true;
  else if (tag.size !== undefined) info.bytes = tag.size;

  const layers = fact('block_count');
  const heads = fact('attention.head_count_kv') ?? fact('attention.head_count');
  const embedding = fact('embedding_length');
  const queryHeads = fact('attention.head_count');
  const headSize =
    fact('attention.key_length') ?? (embedding && queryHeads ? embedding / queryHeads : undefined);
  const bytesPerToken =
    layers && heads && headSize ? 2 * layers * heads * headSize * 2 : USUAL_BYTES_PER_TOKEN;
  return { info, bytesPerToken, thinks: capabilities?.includes('thinking') ?? false };
}

/** Whether Ollama only passes the question on. Its own cloud models are tagged `NAME:cloud` or `NAME:SIZE-cloud`. */
function isRemote(name: string, facts: object): boolean {
  return ('remote_host' in facts && text(facts.remote_host) !== undefined) || /[:-]cloud$/.test(name);
}

/** `8.0B`, `134.52M`, `1.04T` as a number. */
function parseCount(size: string | undefined): number | undefined {
  const match = /^([\d.]+)\s*([KMBT])$/i.exec(size ?? '');
  if (!match?.[1] || !match[2]) return undefined;
  const unit = { K: 1e3, M: 1e6, B: 1e9, T: 1e12 }[match[2].toUpperCase()] ?? Number.NaN;
  const count = Number(match[1]) * unit;
  return Number.isFinite(count) && count > 0 ? count : undefined;
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}

/** A positive number; of a list (some models have one value a layer) its greatest. */
function number(value: unknown): number | undefined {
  const one = Array.isArray(value) ? Math.max(...value.map(Number)) : value;
  return typeof one === 'number' && Number.isFinite(one) && one > 0 ? one : undefined;
}
