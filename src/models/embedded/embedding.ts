/** An embedding model in the model process, as the AI SDK's EmbeddingModelV3. */
import type { EmbeddingModelV3 } from '@ai-sdk/provider';
import { KimiError } from '../../errors.ts';
import type { EngineClient } from './client.ts';

/** So many texts go in one request: an abort waits for no more than these. */
const MOST_TEXTS = 64;

/** Makes the embedding model. Vectors have unit length. `doEmbed` rejects with KimiError. */
export function createEmbeddingModel(client: EngineClient, modelId: string, path: string): EmbeddingModelV3 {
  return {
    specificationVersion: 'v3',
    provider: 'embedded',
    modelId,
    maxEmbeddingsPerCall: MOST_TEXTS,
    supportsParallelCalls: true,
    async doEmbed({ values, abortSignal }) {
      const result = await client.call({ type: 'embed', path, texts: values }, abortSignal);
      if (result.type !== 'embedded') throw unexpected();
      return {
        embeddings: result.vectors.map((vector) => Array.from(vector)),
        usage: { tokens: result.tokens },
        warnings: [],
      };
    },
  };
}

function unexpected(): KimiError {
  return new KimiError('The model process gave an answer to another question. Ask again.', {
    code: 'model_failed',
    retryable: true,
  });
}
