/** Real models for tests: in `$KIMI_TEST_MODELS`, else `../shared/models` beside the project. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const FOLDER =
  process.env.KIMI_TEST_MODELS || fileURLToPath(new URL('../../../shared/models', import.meta.url));

function find(file: string): string | undefined {
  const path = join(FOLDER, file);
  return existsSync(path) ? path : undefined;
}

/** A chat model that answers in words, or undefined where there is none: then skip, by name. */
export const realChatModel = find('SmolLM2-135M-Instruct.Q4_1.gguf');

/** A sentence embedding model, or undefined. */
export const realEmbeddingModel = find('all-MiniLM-L6-v2.Q8_0.gguf');
