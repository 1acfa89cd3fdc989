/** What an adapter must know again after a restart: a few texts by name. */
import type { Database } from './database.ts';

/** Durable and synchronous: what was set is there after a kill. */
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
  return (channel: string) => ({
    get: (key: string) => get.get(channel, key),
    set: (key: string, value: string): void => void set.run(channel, key, value),
    /** All whose key begins with `prefix`. */
    entries: (prefix: string) => entries.all(channel, prefix, prefix),
  });
}
