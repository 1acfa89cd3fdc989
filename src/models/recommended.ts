/** Which model to recommend for a machine. */
import { KimiError } from '../errors.ts';
import { RECOMMENDED, type Recommendation } from './sources.ts';

/**
 * The best recommended model that runs in `memory` bytes (the machine's total).
 * Throws KimiError `not_found` where not even the smallest does.
 */
export function recommendedFor(memory: number): Recommendation {
  const found = RECOMMENDED.find((model) => model.minMemory <= memory);
  if (found) return found;
  throw new KimiError(
    'No recommended model fits into the memory of this machine. The starter does: `kimi models pull starter`.',
    { code: 'not_found' },
  );
}
