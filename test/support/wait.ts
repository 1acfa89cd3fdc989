/** Waiting for what happens in another process, where no event can be awaited. */
import { setTimeout as sleep } from 'node:timers/promises';

/** Resolves with the first value of `probe` that is neither undefined nor false. Fails after `seconds`, saying `what`. */
export async function until<T>(
  what: string,
  probe: () => T | Promise<T>,
  seconds = 60,
): Promise<NonNullable<T>> {
  const deadline = Date.now() + seconds * 1_000;
  for (;;) {
    const value = await probe();
    if (value !== undefined && value !== null && value !== false) return value as NonNullable<T>;
    if (Date.now() > deadline) throw new Error(`waited ${seconds} s in vain: ${what}`);
    await sleep(20);
  }
}
