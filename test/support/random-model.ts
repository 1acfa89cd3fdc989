/**
 * Writes a language model of random weights, half a megabyte, that llama.cpp really loads: what it says is noise,
 * but loading, streaming, stopping, schemas, sequences and prefix reuse work as with any other.
 */
import { type GgufTensorSource, writeGguf } from '../../src/models/gguf-writer.ts';

export interface RandomModelOptions {
  seed?: number;
  /** Without it the model never ends an answer by itself. */
  endless?: boolean;
  contextLength?: number;
}

const WIDTH = 64;
const HEADS = 4;
const LAYERS = 2;
const INNER = 128;

/** llama.cpp's token types. */
const TYPE = { normal: 1, unknown: 2, control: 3, byte: 6 };

/** Writes the model to `path`. The same options give the same bytes. */
export async function writeRandomModel(path: string, options: RandomModelOptions = {}): Promise<void> {
  const { seed = 1, endless = true, contextLength = 2_048 } = options;
  const random = generator(seed);
  const tokens = vocabulary();
  await writeGguf(
    path,
    {
      'general.architecture': { type: 'string', value: 'llama' },
      'general.name': { type: 'string', value: 'random' },
      'llama.context_length': { type: 'uint32', value: contextLength },
      'llama.embedding_length': { type: 'uint32', value: WIDTH },
      'llama.block_count': { type: 'uint32', value: LAYERS },
      'llama.feed_forward_length': { type: 'uint32', value: INNER },
      'llama.attention.head_count': { type: 'uint32', value: HEADS },
      'llama.attention.head_count_kv': { type: 'uint32', value: HEADS },
      'llama.attention.layer_norm_rms_epsilon': { type: 'float32', value: 1e-5 },
      'llama.rope.dimension_count': { type: 'uint32', value: WIDTH / HEADS },
      'llama.vocab_size': { type: 'uint32', value: tokens.length },
      'tokenizer.ggml.model': { type: 'string', value: 'llama' },
      'tokenizer.ggml.tokens': { type: 'array', of: 'string', value: tokens.map((token) => token.text) },
      'tokenizer.ggml.scores': { type: 'array', of: 'float32', value: tokens.map(() => 0) },
      'tokenizer.ggml.token_type': { type: 'array', of: 'int32', value: tokens.map((token) => token.type) },
      'tokenizer.ggml.unknown_token_id': { type: 'uint32', value: 0 },
      'tokenizer.ggml.bos_token_id': { type: 'uint32', value: 1 },
      'tokenizer.ggml.eos_token_id': { type: 'uint32', value: 2 },
      'tokenizer.ggml.add_bos_token': { type: 'bool', value: false },
      'tokenizer.ggml.add_eos_token': { type: 'bool', value: false },
      'tokenizer.ggml.add_space_prefix': { type: 'bool', value: false },
      'tokenizer.chat_template': { type: 'string', value: CHAT_TEMPLATE },
    },
    [
      { ...matrix('token_embd.weight', WIDTH, tokens.length, random), data: () => embeddings(tokens.length) },
      vector('output_norm.weight'),
      {
        ...matrix('output.weight', WIDTH, tokens.length, random),
        data: () =>
          output(tokens.map((token) => token.speakable || (!endless && token.text === '<|im_end|>'))),
      },
      ...Array.from({ length: LAYERS }, (_, layer) => block(layer, random)).flat(),
    ],
  );

  /** The first coordinate is the same for all tokens, so that `output` has something to hold on to. */
  function embeddings(count: number): Uint8Array {
    const values = noise(WIDTH * count, random);
    for (let token = 0; token < count; token++) values[token * WIDTH] = 4;
    return new Uint8Array(values.buffer);
  }

  /** Tokens that are not to be said get a weight on the first coordinate that none can outweigh. */
  function output(speakable: readonly boolean[]): Uint8Array {
    const values = noise(WIDTH * speakable.length, random);
    for (const [token, may] of speakable.entries()) values[token * WIDTH] = may ? 0 : -50;
    return new Uint8Array(values.buffer);
  }
}

const CHAT_TEMPLATE =
  "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

interface VocabularyToken {
  text: string;
  type: number;
  speakable: boolean;
}

/** Special tokens, all 256 bytes, and each printable ASCII character as a token of its own. */
function vocabulary(): VocabularyToken[] {
  const special = (text: string, type = TYPE.control): VocabularyToken => ({ text, type, speakable: false });
  const bytes = Array.from({ length: 256 }, (_, byte) =>
    special(`<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`, TYPE.byte),
  );
  const characters = Array.from({ length: 94 }, (_, index) => String.fromCharCode(33 + index));
  return [
    special('<unk>', TYPE.unknown),
    special('<s>'),
    special('</s>'),
    special('<|im_start|>'),
    special('<|im_end|>'),
    ...bytes,
    ...['\u2581', ...characters].map((text) => ({ text, type: TYPE.normal, speakable: true })),
  ];
}

function block(layer: number, random: () => number): GgufTensorSource[] {
  const name = (part: string) => `blk.${layer}.${part}.weight`;
  return [
    vector(name('attn_norm')),
    matrix(name('attn_q'), WIDTH, WIDTH, random),
    matrix(name('attn_k'), WIDTH, WIDTH, random),
    matrix(name('attn_v'), WIDTH, WIDTH, random),
    matrix(name('attn_output'), WIDTH, WIDTH, random),
    vector(name('ffn_norm')),
    matrix(name('ffn_gate'), WIDTH, INNER, random),
    matrix(name('ffn_up'), WIDTH, INNER, random),
    matrix(name('ffn_down'), INNER, WIDTH, random),
  ];
}

function matrix(name: string, columns: number, rows: number, random: () => number): GgufTensorSource {
  const data = () => new Uint8Array(noise(columns * rows, random).buffer);
  return { name, dimensions: [columns, rows], type: 'F32', data };
}

function vector(name: string): GgufTensorSource {
  return {
    name,
    dimensions: [WIDTH],
    type: 'F32',
    data: () => new Uint8Array(new Float32Array(WIDTH).fill(1).buffer),
  };
}

function noise(count: number, random: () => number): Float32Array {
  return Float32Array.from({ length: count }, () => (random() - 0.5) * 0.3);
}

/** A linear congruential generator (Numerical Recipes' constants): enough for weights that mean nothing. */
function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}
