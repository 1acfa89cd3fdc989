/** What this machine can hold. Total memory, not what is free now: a choice that changed with every browser tab would
 * make a model load anew for each message. */
import { totalmem } from 'node:os';

/** What a running model needs beside its weights and its window: compute buffers and the engine itself. */
const OVERHEAD_BYTES = 512 * 1024 ** 2;

/** A quarter is left to the system, the daemon and whatever the person is doing. */
const SHARE = 0.75;

/** A window of a few thousand tokens in a model with grouped attention takes about a tenth of the weights. */
const WINDOW_SHARE = 0.1;

/** The memory that this process may use, in bytes: the machine's, or the container's where that is less. */
export function machineMemory(): number {
  const total = totalmem();
  const constrained = process.constrainedMemory() ?? 0;
  return constrained > 0 && constrained < total ? constrained : total;
}

/** The bytes left for a model's window once its weights are loaded; negative when not even those fit. */
export function roomForWindow(weights: number, memory: number): number {
  return memory * SHARE - OVERHEAD_BYTES - weights;
}

/** Whether a model of `weights` bytes runs in `memory` bytes with a window worth having. Unknown sizes are let through. */
export function fits(weights: number | undefined, memory: number): boolean {
  return weights === undefined || roomForWindow(weights, memory) >= weights * WINDOW_SHARE;
}

/** Whether an address is this machine's own, whose memory is then the model's. */
export function isLoopback(address: string): boolean {
  const { hostname } = new URL(address);
  return hostname === 'localhost' || hostname === '[::1]' || hostname.startsWith('127.');
}
