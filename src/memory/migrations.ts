/** Every change of the schema, in order, keyed by name. Applied ones are never edited: add another. */

export interface Migration {
  name: string;
  sql: string;
}

export const migrations: readonly Migration[] = [
  {
    name: '2026-11-ledger',
    sql: `
      -- AUTOINCREMENT: an id is given once. A reused one would join a new turn to what is left of an old one, somebody
      -- else's perhaps.
      CREATE TABLE inbox (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        channel TEXT NOT NULL,
        account TEXT NOT NULL,
        message_id TEXT NOT NULL,
        conversation TEXT NOT NULL,
        lane TEXT NOT NULL CHECK (lane IN ('turn', 'now')),
        command TEXT,
        body TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('received', 'leased', 'answered', 'dead')),
        turn TEXT,
        attempts INTEGER NOT NULL DEFAULT 0,
        error TEXT,
        sent_at INTEGER NOT NULL,
        received_at INTEGER NOT NULL,
        leased_at INTEGER,
        answered_at INTEGER,
        UNIQUE (channel, account, message_id)
      ) STRICT;
      CREATE INDEX inbox_open ON inbox (conversation, lane, id) WHERE state IN ('received', 'leased');
      CREATE INDEX inbox_turn ON inbox (turn);
      CREATE INDEX inbox_answered ON inbox (answered_at) WHERE state = 'answered';

      CREATE TABLE outbox (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        turn TEXT NOT NULL,
        seq INTEGER NOT NULL,
        channel TEXT NOT NULL,
        account TEXT NOT NULL,
        room TEXT NOT NULL,
        conversation TEXT NOT NULL,
        reply_to TEXT,
        text TEXT NOT NULL,
        extra TEXT,
        final INTEGER NOT NULL CHECK (final IN (0, 1)),
        version INTEGER NOT NULL DEFAULT 1,
        shown_version INTEGER NOT NULL DEFAULT 0,
        state TEXT NOT NULL CHECK (state IN ('queued', 'sending', 'sent', 'unknown', 'dead')),
        message_id TEXT,
        attempts INTEGER NOT NULL DEFAULT 0,
        not_before INTEGER NOT NULL DEFAULT 0,
        error TEXT,
        created_at INTEGER NOT NULL,
        sent_at INTEGER,
        UNIQUE (turn, seq)
      ) STRICT;
      CREATE INDEX outbox_open ON outbox (room, id) WHERE state IN ('queued', 'sending', 'unknown');
      CREATE UNIQUE INDEX outbox_message ON outbox (channel, account, message_id) WHERE message_id IS NOT NULL;
      CREATE INDEX outbox_sent ON outbox (sent_at) WHERE state = 'sent';
    `,
  },
  {
    name: '2026-11-conversations',
    sql: `
      CREATE TABLE people (
        id INTEGER PRIMARY KEY,
        role TEXT NOT NULL CHECK (role IN ('owner', 'member')),
        created_at INTEGER NOT NULL
      ) STRICT;
      CREATE TABLE identities (
        channel TEXT NOT NULL,
        user_id TEXT NOT NULL,
        person INTEGER NOT NULL REFERENCES people (id) ON DELETE CASCADE,
        name TEXT NOT NULL,
        paired_at INTEGER,
        PRIMARY KEY (channel, user_id)
      ) STRICT;
      CREATE TABLE pairings (
        code TEXT PRIMARY KEY,
        channel TEXT NOT NULL,
        user_id TEXT NOT NULL,
        name TEXT NOT NULL,
        conversation TEXT NOT NULL,
        expires_at INTEGER NOT NULL,
        shown INTEGER NOT NULL DEFAULT 1,
        tries INTEGER NOT NULL DEFAULT 0,
        UNIQUE (channel, user_id)
      ) STRICT;

      CREATE TABLE conversations (
        key TEXT PRIMARY KEY,
        person INTEGER REFERENCES people (id) ON DELETE CASCADE,
        model TEXT,
        summary TEXT NOT NULL DEFAULT '',
        history_from INTEGER NOT NULL DEFAULT 0,
        created_at INTEGER NOT NULL
      ) STRICT;
      CREATE TABLE messages (
        id INTEGER PRIMARY KEY,
        conversation TEXT NOT NULL REFERENCES conversations (key) ON DELETE CASCADE,
        turn TEXT NOT NULL,
        role TEXT NOT NULL CHECK (role IN ('user', 'assistant')),
        content TEXT NOT NULL,
        at INTEGER NOT NULL
      ) STRICT;
      CREATE INDEX messages_conversation ON messages (conversation, id);
    `,
  },
  {
    name: '2026-11-platforms',
    sql: `
      CREATE TABLE asks (
        id TEXT PRIMARY KEY,
        conversation TEXT NOT NULL,
        person INTEGER NOT NULL,
        text TEXT NOT NULL,
        options TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('open', 'answered', 'expired', 'dismissed')),
        answer TEXT,
        expires_at INTEGER NOT NULL
      ) STRICT;
      CREATE INDEX asks_open ON asks (conversation) WHERE state = 'open';
      CREATE TABLE links (
        code TEXT PRIMARY KEY,
        person INTEGER NOT NULL REFERENCES people (id) ON DELETE CASCADE,
        expires_at INTEGER NOT NULL,
        tries INTEGER NOT NULL DEFAULT 0
      ) STRICT;
      CREATE TABLE adapter_state (
        channel TEXT NOT NULL,
        key TEXT NOT NULL,
        value TEXT NOT NULL,
        PRIMARY KEY (channel, key)
      ) STRICT, WITHOUT ROWID;
    `,
  },
];
