/** How many requests are in flight at once, all conversations together: first come, first served. */
import { KimiError } from '../errors.ts';

export interface Gate {
  /**
   * Waits for a place and returns the function that gives it back, which may be called more than once.
   * Rejects with KimiError `stopped` once the signal is aborted; no place is then held.
   */
  acquire(signal: AbortSignal): Promise<() => void>;
  /** Whether the next to come would have to wait. */
  full(): boolean;
  /** How many wait. */
  waiting(): number;
  /** To be called when the limit may have grown. */
  changed(): void;
}

/** Makes a gate. `limit` is read anew each time, so that the configuration may change while the daemon runs. */
export function createGate(limit: () => number): Gate {
  let taken = 0;
  const queue = new Set<() => void>();

  function admit(): void {
    for (const enter of queue) {
      if (taken >= limit()) return;
      queue.delete(enter);
      taken++;
      enter();
    }
  }

  function place(): () => void {
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      taken--;
      admit();
    };
  }

  return {
    acquire(signal) {
      return new Promise((resolve, reject) => {
        const leave = () => {
          queue.delete(enter);
          reject(new KimiError('Stopped while waiting for a free place.', { code: 'stopped' }));
        };
        const enter = () => {
          signal.removeEventListener('abort', leave);
          resolve(place());
        };
        if (signal.aborted) return leave();
        signal.addEventListener('abort', leave, { once: true });
        queue.add(enter);
        admit();
      });
    },
    full: () => queue.size > 0 || taken >= limit(),
    waiting: () => queue.size,
    changed: admit,
  };
}
