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
  const people = createPeople(database);
  const conversationsOf = database
    .prepare<[number], string>('SELECT key FROM conversations WHERE person = ?')
    .pluck();
  // One pass over each table, however many conversations there are. The turn that asks for it is still running: its
  // own message, and the question that it asked, are answered as usual.
  const forgotten = 'conversation IN (SELECT value FROM json_each(@keys))';
  const erasures = [
    `DELETE FROM messages WHERE ${forgotten}`,
    'DELETE FROM conversations WHERE key IN (SELECT value FROM json_each(@keys))',
    `DELETE FROM asks WHERE ${forgotten} AND id NOT GLOB @turn || '.*'`,
    `DELETE FROM outbox WHERE ${forgotten} AND turn <> @turn AND turn NOT GLOB 'ask:' || @turn || '.*'`,
    `DELETE FROM inbox WHERE ${forgotten} AND turn IS NOT @turn
       AND (state IN ('answered', 'dead') OR @everything)`,
  ].map((sql) => database.prepare<{ keys: string; turn: string; everything: number }>(sql));
  const turnsIn = database
    .prepare<{ keys: string }, string>(
      `SELECT DISTINCT turn FROM inbox WHERE ${forgotten} AND turn IS NOT NULL`,
    )
    .pluck();
  return {
    inbox,
    outbox,
    people,
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

    /**
     * Everything that is stored of these conversations is gone from the file when this returns, but for the running
     * turn `turn` that asked for it. With `person` they are forgotten too, and what they wrote is not answered any
     * more; without, what waits is. Returns the turns whose files are to go as well.
     */
    forgetConversations(keys: readonly string[], turn: string, person?: number): string[] {
      const which = { keys: JSON.stringify(keys), turn, everything: person === undefined ? 0 : 1 };
      const turns = database
        .transaction(() => {
          const found = turnsIn.all({ keys: which.keys });
          for (const erase of erasures) erase.run(which);
          if (person !== undefined) people.forget(person);
          return found;
        })
        .immediate();
      // secure_delete zeroes what was freed; the WAL still holds older pages until it is written back and cut off.
      database.pragma('wal_checkpoint(TRUNCATE)');
      return turns;
    },
    conversationsOf: (person: number) => conversationsOf.all(person),

    /** Drops what the ledger no longer needs. */
    prune(now: number): void {
      people.prune(now);
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
