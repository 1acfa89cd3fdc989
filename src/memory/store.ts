/** Everything that is stored, on one database. */
import { createAdapterState } from './adapter-state.ts';
import { createAsks } from './asks.ts';
import { createConversations } from './conversations.ts';
import { type Database, openDatabase } from './database.ts';
import { createInbox } from './inbox.ts';
import { createOutbox } from './outbox.ts';
import { createPeople } from './people.ts';

/** Platforms repeat what was not acknowledged for a day at most; a month lets `kimi trace` look back. */
const LEDGER_RETENTION_MS = 30 * 86_400_000;

export function openStore(path: string) {
  return createStore(openDatabase(path));
}

export function createStore(database: Database) {
  const inbox = createInbox(database);
  const outbox = createOutbox(database);
  const asks = createAsks(database);
  const conversationsOf = database
    .prepare<[number], string>('SELECT key FROM conversations WHERE person = ?')
    .pluck();
  // The turn that asks for it is still running: its own message is answered as usual, without its text.
  const erasures = [
    'DELETE FROM messages WHERE conversation = @key',
    'DELETE FROM conversations WHERE key = @key',
    'DELETE FROM asks WHERE conversation = @key',
    "DELETE FROM outbox WHERE conversation = @key AND state IN ('sent', 'dead')",
    "DELETE FROM inbox WHERE conversation = @key AND state IN ('answered', 'dead')",
  ].map((sql) => database.prepare<{ key: string }>(sql));
  return {
    inbox,
    outbox,
    people: createPeople(database),
    conversations: createConversations(database),
    asks,
    adapterState: createAdapterState(database),

    /** Runs `work` as one commit: all of it happens or none. */
    atomically<T>(work: () => T): T {
      return database.transaction(work).immediate();
    },

    /** After a crash: what was under way waits again. */
    recover(): void {
      database
        .transaction(() => {
          inbox.recover();
          outbox.recover();
        })
        .immediate();
    },

    /** Everything that is stored of these conversations is gone from the file when this returns. */
    forgetConversations(keys: readonly string[]): void {
      database
        .transaction(() => {
          for (const key of keys) for (const erase of erasures) erase.run({ key });
        })
        .immediate();
      // secure_delete zeroes what was freed; the WAL still holds older pages until it is written back and cut off.
      database.pragma('wal_checkpoint(TRUNCATE)');
    },
    conversationsOf: (person: number) => conversationsOf.all(person),

    /** Drops what the ledger no longer needs. */
    prune(now: number): void {
      inbox.prune(now - LEDGER_RETENTION_MS);
      asks.prune(now - LEDGER_RETENTION_MS);
      outbox.prune(now - LEDGER_RETENTION_MS);
    },

    /** Writes what is in the WAL into the file and closes it. */
    close(): void {
      database.pragma('wal_checkpoint(TRUNCATE)');
      database.close();
    },
  };
}

export type Store = ReturnType<typeof createStore>;
