/** How much memory a model may count on. */
import { freemem, totalmem } from 'node:os';

/**
 * Bytes that can be taken without pressing others, within the limit of a container.
 * macOS keeps nearly all memory in use as cache and counts little as free: there it is half of what is built in.
 */
export function availableMemory(): number {
  if (process.platform === 'darwin') return Math.max(freemem(), totalmem() / 2);
  const { availableMemory: within } = process as { availableMemory?: () => number };
  return within?.call(process) ?? freemem();
}
