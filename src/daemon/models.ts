/** The providers of models there are, put together: for the daemon, and for `kimi models` where none runs. */
import type { Config } from '../config.ts';
import type { Log } from '../log.ts';
import { createEmbeddedProvider } from '../models/embedded/provider.ts';
import { createOllamaProvider } from '../models/ollama.ts';
import { createModels, type Models } from '../models/registry.ts';
import { createStarter } from '../models/starter/starter.ts';

export interface AssembleOptions {
  config(): Config;
  home: string;
  log: Log;
}

/** Nothing is loaded, asked or fetched yet. */
export function assembleModels({ config, home, log }: AssembleOptions): Models {
  const settings = () => config().models.providers;
  const embedded = createEmbeddedProvider({ settings: () => settings().embedded, home, log });
  const ollama = createOllamaProvider({ settings: () => settings().ollama, log });
  const starter = createStarter({ settings: () => settings().embedded, home, log });
  return createModels({ config, log, providers: [ollama, embedded], starter });
}
