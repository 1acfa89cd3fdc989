/** Everything that is stored, on one database. */
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
  return {
    inbox,
    outbox,
    people: createPeople(database),
    conversations: createConversations(database),

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

    /** Drops what the ledger no longer needs. */
    prune(now: number): void {
      inbox.prune(now - LEDGER_RETENTION_MS);
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
