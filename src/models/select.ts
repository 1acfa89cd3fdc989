/** Which of the models that are there `auto` takes. Pure: the registry finds out what is there. */
import { fits } from './machine.ts';
import type { ModelInfo } from './model.ts';
import { profileFor } from './profiles.ts';

/** Preferred over any larger one, where it fits. */
const FAVOURITE = /(^|\/)kimi-k2\.5\b/i;

/**
 * The models of one provider that can chat and fit into `memory` bytes, the best first: kimi-k2.5, then by size, the
 * starter last.
 *
 * Local first: a model that runs on somebody else's computer (`NAME:cloud` of Ollama) is never taken by itself, kimi-k2.5
 * included; it answers only where the configuration or the person names it. Pass an infinite memory for a provider
 * on another machine, of which nothing is known.
 */
export function rankForChat(models: readonly ModelInfo[], memory: number): ModelInfo[] {
  return models
    .filter((model) => model.can.chat && !model.remote && fits(model.bytes, memory))
    .map((model) => ({ model, rank: rankOf(model), size: model.parameters ?? 0, bytes: model.bytes ?? 0 }))
    .sort((a, b) => a.rank - b.rank || b.size - a.size || b.bytes - a.bytes || compare(a.model, b.model))
    .map(({ model }) => model);
}

function rankOf(model: ModelInfo): number {
  if (FAVOURITE.test(model.name)) return 0;
  return profileFor(model).starter ? 2 : 1;
}

/** By name, so that two starts of the same machine choose alike. */
function compare(a: ModelInfo, b: ModelInfo): number {
  return a.ref < b.ref ? -1 : 1;
}

/** Splits `provider/name`; the name may hold slashes of its own. Undefined when there is no provider part. */
export function parseRef(ref: string): { provider: string; name: string } | undefined {
  const slash = ref.indexOf('/');
  if (slash <= 0 || slash === ref.length - 1) return undefined;
  return { provider: ref.slice(0, slash), name: ref.slice(slash + 1) };
}
