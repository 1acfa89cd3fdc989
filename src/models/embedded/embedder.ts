/** A loaded embedding model: texts → one vector each. Model process only. */
import type { Llama, LlamaEmbeddingContext, LlamaModel, Token } from 'node-llama-cpp';
import type { Result } from './protocol.ts';

/** A marker at the beginning and one at the end are added to each text. */
const MARKERS = 2;

export class Embedder {
  private constructor(
    private readonly model: LlamaModel,
    private readonly context: LlamaEmbeddingContext,
    private readonly window: number,
  ) {}

  static async load(llama: Llama, path: string, threads: number): Promise<Embedder> {
    const model = await llama.loadModel({ modelPath: path });
    try {
      // Longer texts than this are embedded worse, not better, and memory grows with it.
      const window = Math.min(model.trainContextSize, 2_048);
      const context = await model.createEmbeddingContext({ contextSize: window, threads });
      return new Embedder(model, context, window);
    } catch (error) {
      await model.dispose();
      throw error;
    }
  }

  /** Vectors of unit length. A text that exceeds the model's window is embedded by its beginning. */
  async embed(texts: readonly string[], signal: AbortSignal): Promise<Result> {
    const vectors: Float32Array[] = [];
    let tokens = 0;
    for (const text of texts) {
      signal.throwIfAborted();
      const input = this.tokens(text);
      tokens += input.length;
      const { vector } = await this.context.getEmbeddingFor(input);
      vectors.push(unit(vector));
    }
    return { type: 'embedded', vectors, tokens };
  }

  async dispose(): Promise<void> {
    await this.context.dispose();
    await this.model.dispose();
  }

  private tokens(text: string): Token[] {
    // An empty text has no tokens and so no vector; a full stop means as little and has one.
    const tokens = this.model.tokenize(text.trim() === '' ? '.' : text);
    return tokens.slice(0, this.window - 1 - MARKERS);
  }
}

function unit(vector: readonly number[]): Float32Array {
  const length = Math.hypot(...vector);
  return Float32Array.from(vector, (value) => (length > 0 ? value / length : 0));
}
