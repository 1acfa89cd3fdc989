/** What an adapter must know again after a restart: a few texts by name. */
import type { Database } from './database.ts';

/** Durable and synchronous: what was set is there after a kill. */
export interface AdapterState {
  get(key: string): string | undefined;
  set(key: string, value: string): void;
  /** All whose key begins with `prefix`. */
  entries(prefix: string): [key: string, value: string][];
}

export function createAdapterState(database: Database) {
  const get = database
    .prepare<[string, string], string>('SELECT value FROM adapter_state WHERE channel = ? AND key = ?')
    .pluck();
  const set = database.prepare(`
    INSERT INTO adapter_state (channel, key, value) VALUES (?, ?, ?)
    ON CONFLICT (channel, key) DO UPDATE SET value = excluded.value`);
  const entries = database
    .prepare<[string, string, string], [string, string]>(
      'SELECT key, value FROM adapter_state WHERE channel = ? AND substr(key, 1, length(?)) = ?',
    )
    .raw();

  /** The part of it that is one channel's. */
  return (channel: string): AdapterState => ({
    get: (key) => get.get(channel, key),
    set: (key, value) => void set.run(channel, key, value),
    entries: (prefix) => entries.all(channel, prefix, prefix),
  });
}
