/** The inbox: what was received, and how far it has come. received → leased → answered | dead. */
import type { Attachment, Inbound, Sender } from '../message.ts';
import { encodeConversation } from '../message.ts';
import type { Database } from './database.ts';

/** `turn`: one after the other. `now`: commands that are answered while a turn runs. */
export type Lane = 'turn' | 'now';

export interface Command {
  name: string;
  args: string;
}

/** A received message with what is needed to answer it. */
export interface InboxEntry {
  id: number;
  messageId: string;
  sender: Sender;
  group: boolean;
  text: string;
  command?: Command;
  attachments: Attachment[];
  sentAt: number;
}

/** The messages that one turn answers: a single command, or all plain ones that wait. */
export interface Lease {
  /** Stable over restarts: the id of the first message. */
  turn: string;
  conversation: string;
  lane: Lane;
  /** How often these messages have been leased, this time included. */
  attempts: number;
  entries: [InboxEntry, ...InboxEntry[]];
}

interface Row {
  id: number;
  channel: string;
  message_id: string;
  command: string | null;
  body: string;
  attempts: number;
  sent_at: number;
}

/** What the body column holds, as JSON. */
type Body = Pick<InboxEntry, 'sender' | 'group' | 'text' | 'attachments'> & { command?: Command };

/** A message that could not be answered, as `kimi dead` lists it. */
export interface DeadLetter {
  box: 'inbox' | 'outbox';
  id: number;
  conversation: string;
  error: string;
  at: number;
}

/** A line of `kimi trace`. */
export interface InboxTrace {
  id: number;
  messageId: string;
  conversation: string;
  state: string;
  turn: string | null;
  attempts: number;
  error: string | null;
  sentAt: number;
  receivedAt: number;
  leasedAt: number | null;
  answeredAt: number | null;
}

/** A turn takes no more waiting messages than this at once, so that a flood cannot outgrow every window. */
const MOST_ENTRIES = 50;

export function createInbox(database: Database) {
  const insert = database.prepare(`
    INSERT INTO inbox (channel, account, message_id, conversation, lane, command, body, state, sent_at, received_at)
    VALUES (@channel, @account, @messageId, @conversation, @lane, @command, @body, 'received', @sentAt, @now)
    ON CONFLICT (channel, account, message_id) DO NOTHING`);
  const settle = database.prepare(`
    UPDATE inbox SET state = 'answered', body = '', answered_at = ?
    WHERE channel = ? AND account = ? AND message_id = ?`);
  const discard = database.prepare('DELETE FROM inbox WHERE channel = ? AND account = ? AND message_id = ?');
  const openRows = database.prepare<[string, Lane, number], Row>(`
    SELECT id, channel, message_id, command, body, attempts, sent_at FROM inbox
    WHERE conversation = ? AND lane = ? AND state IN ('received', 'leased') ORDER BY id LIMIT ?`);
  const markLeased = database.prepare(
    `UPDATE inbox SET state = 'leased', turn = ?, attempts = attempts + 1, leased_at = ? WHERE id = ?`,
  );
  const markAnswered = database.prepare(
    `UPDATE inbox SET state = 'answered', body = '', answered_at = ? WHERE turn = ? AND state = 'leased'`,
  );
  const markDead = database.prepare(
    `UPDATE inbox SET state = 'dead', error = ?, answered_at = ? WHERE turn = ? AND state = 'leased'`,
  );
  const giveBack = database.prepare(
    `UPDATE inbox SET state = 'received', attempts = max(attempts - ?, 0) WHERE turn = ? AND state = 'leased'`,
  );
  const giveBackAll = database.prepare(`UPDATE inbox SET state = 'received' WHERE state = 'leased'`);
  const open = database.prepare<[], { conversation: string; lane: Lane }>(
    `SELECT DISTINCT conversation, lane FROM inbox WHERE state IN ('received', 'leased')`,
  );
  const counts = database.prepare<[], { state: string; count: number }>(
    'SELECT state, count(*) AS count FROM inbox GROUP BY state',
  );
  const dead = database.prepare<[], DeadLetter>(`
    SELECT 'inbox' AS box, id, conversation, coalesce(error, '') AS error, coalesce(answered_at, received_at) AS at
    FROM inbox WHERE state = 'dead' ORDER BY id`);
  const retry = database.prepare<[number], { conversation: string; lane: Lane }>(`
    UPDATE inbox SET state = 'received', attempts = 0, error = NULL WHERE id = ? AND state = 'dead'
    RETURNING conversation, lane`);
  const trace = database.prepare<[string, string], InboxTrace>(`
    SELECT id, message_id AS messageId, conversation, state, turn, attempts, error, sent_at AS sentAt,
      received_at AS receivedAt, leased_at AS leasedAt, answered_at AS answeredAt
    FROM inbox WHERE message_id = ? OR id = CAST(? AS INTEGER) ORDER BY id`);
  const prune = database.prepare(`DELETE FROM inbox WHERE state = 'answered' AND answered_at < ?`);

  return {
    /** Commits a message. Returns false when it was there before. */
    add(inbound: Inbound, lane: Lane, command: Command | undefined, now: number): boolean {
      const { sender, group, text, attachments } = inbound;
      const body: Body = { sender, group, text, attachments, ...(command && { command }) };
      const result = insert.run({
        channel: inbound.conversation.channel,
        account: inbound.conversation.account,
        messageId: inbound.messageId,
        conversation: encodeConversation(inbound.conversation),
        lane,
        command: command?.name ?? null,
        body: JSON.stringify(body),
        sentAt: inbound.sentAt,
        now,
      });
      return result.changes === 1;
    },

    /** Ends a message that needs no turn: a press, an answer, a stranger's words. Its text is not kept. */
    settle: ({ conversation: { channel, account }, messageId }: Inbound, now: number): void =>
      void settle.run(now, channel, account, messageId),

    /** Forgets that a message came, so that whom we never answer cannot fill the disk. */
    discard: ({ conversation: { channel, account }, messageId }: Inbound): void =>
      void discard.run(channel, account, messageId),

    /** Takes the next turn of a conversation, or undefined when nothing waits. */
    lease: database.transaction((conversation: string, lane: Lane, now: number): Lease | undefined => {
      const rows = openRows.all(conversation, lane, MOST_ENTRIES);
      const first = rows[0];
      if (!first) return undefined;
      const command = rows.findIndex((row) => row.command !== null);
      const taken = first.command !== null ? [first] : command < 0 ? rows : rows.slice(0, command);
      const turn = `in:${first.id}`;
      for (const row of taken) markLeased.run(turn, now, row.id);
      const [head, ...rest] = taken.map(toEntry);
      if (!head) return undefined;
      return { turn, conversation, lane, attempts: first.attempts + 1, entries: [head, ...rest] };
    }),

    /** Returns false when there is no such turn any more: it was forgotten while it ran. */
    answered: (turn: string, now: number): boolean => markAnswered.run(now, turn).changes > 0,
    dead: (turn: string, error: string, now: number): void => void markDead.run(error, now, turn),
    /** Returns a turn's messages to the queue. With `uncounted`, as if it had not been tried. */
    release: (turn: string, uncounted: boolean): void => void giveBack.run(uncounted ? 1 : 0, turn),
    /** After a crash: what was leased waits again. */
    recover: (): void => void giveBackAll.run(),
    /** Conversations in which something waits. */
    open: () => open.all(),
    counts: (): Record<string, number> =>
      Object.fromEntries(counts.all().map((row) => [row.state, row.count])),
    deadLetters: () => dead.all(),
    /** Puts a dead letter back; returns whose turn it now is. */
    retry: (id: number) => retry.get(id),
    trace: (id: string) => trace.all(id, id),
    /** Forgets that answered messages were ever seen; platforms repeat for a day at most. */
    prune: (before: number): number => prune.run(before).changes,
  };
}

export type Inbox = ReturnType<typeof createInbox>;

function toEntry(row: Row): InboxEntry {
  const body = JSON.parse(row.body) as Body;
  return { id: row.id, messageId: row.message_id, sentAt: row.sent_at, ...body };
}
