import type { AdapterState } from './adapter.ts';

/** An adapter's state that lasts as long as the process. */
export function stateInMemory(): AdapterState {
  const values = new Map<string, string>();
  return {
    get: (key) => values.get(key),
    set: (key, value) => void values.set(key, value),
    entries: (prefix) => [...values].filter(([key]) => key.startsWith(prefix)),
  };
}
