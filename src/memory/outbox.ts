/**
 * The outbox: what each chat should show, and what it does show. A row is one platform message; while `version` is
 * ahead of `shown_version` the platform has yet to be told, by a send when there is no `message_id`, else by an edit.
 * queued → sending → sent | unknown | dead.
 */
import { type Ask, type Attachment, decodeConversation } from '../message.ts';
import type { Database } from './database.ts';
import type { DeadLetter } from './inbox.ts';

export type OutboxState = 'queued' | 'sending' | 'sent' | 'unknown' | 'dead';

export interface OutboxRow {
  id: number;
  turn: string;
  seq: number;
  room: string;
  conversation: string;
  replyTo: string | null;
  text: string;
  /** A {@link Piece} without its text, as JSON; with an empty text and no extra, the message should be taken away. */
  extra: string | null;
  final: 0 | 1;
  version: number;
  shownVersion: number;
  state: OutboxState;
  messageId: string | null;
  attempts: number;
  notBefore: number;
  createdAt: number;
}

/** A line of `kimi trace`. */
export interface OutboxTrace extends OutboxRow {
  error: string | null;
  sentAt: number | null;
}

/** One platform message of a reply. */
export interface Piece {
  text: string;
  file?: Attachment;
  ask?: Ask;
}

export interface SetOptions {
  final: boolean;
  now: number;
  /** The message that the reply's first piece answers. */
  replyTo?: string;
  /** Whether becoming final is a change that the platform is told. */
  marksDrafts?: boolean;
}

/** The room a conversation takes place in: what a platform's limits apply to and order is kept in. */
export function roomOf(conversation: string): string {
  const [channel, account, chat] = conversation.split('/');
  return `${channel}/${account}/${chat}`;
}

const COLUMNS = `id, turn, seq, room, conversation, reply_to AS replyTo, text, extra, final, version,
  shown_version AS shownVersion, state, message_id AS messageId, attempts, not_before AS notBefore, created_at AS createdAt`;

export function createOutbox(database: Database) {
  const ofTurn = database.prepare<[string], OutboxRow>(
    `SELECT ${COLUMNS} FROM outbox WHERE turn = ? ORDER BY seq`,
  );
  const insert = database.prepare(`
    INSERT INTO outbox (turn, seq, channel, account, room, conversation, reply_to, text, extra, final, state, created_at)
    VALUES (@turn, @seq, @channel, @account, @room, @conversation, @replyTo, @text, @extra, @final, 'queued', @now)`);
  // A row that is being sent stays so: recording the send sees that the version moved on and queues it again.
  const change = database.prepare(`
    UPDATE outbox SET text = @text, extra = @extra, final = @final, version = version + 1, attempts = 0, not_before = 0,
      state = CASE state WHEN 'sending' THEN 'sending' ELSE 'queued' END
    WHERE id = @id`);
  // What was refused as a draft is tried once more: a final text whose message is gone goes out as a new one.
  const finalise = database.prepare(`
    UPDATE outbox SET final = @final, state = CASE state WHEN 'dead' THEN 'queued' ELSE state END WHERE id = @id`);
  const drop = database.prepare(
    `DELETE FROM outbox WHERE id = ? AND message_id IS NULL AND state = 'queued'`,
  );
  // Edits of what still grows come last: they go on for as long as a model writes, and nothing follows from their order.
  const next = database.prepare<[string], OutboxRow>(`
    SELECT ${COLUMNS} FROM outbox WHERE room = ? AND state IN ('queued', 'sending', 'unknown')
    ORDER BY final = 0 AND message_id IS NOT NULL, id LIMIT 1`);
  const sending = database.prepare(
    `UPDATE outbox SET state = 'sending', attempts = attempts + 1 WHERE id = ?`,
  );
  const shown = database.prepare(`
    UPDATE outbox SET shown_version = @version, message_id = @messageId, error = NULL, sent_at = @now, attempts = 0,
      state = CASE WHEN version = @version THEN 'sent' ELSE 'queued' END
    WHERE id = @id`);
  const resend = database.prepare(`
    UPDATE outbox SET state = 'queued', message_id = NULL, shown_version = 0 WHERE id = ?`);
  const removed = database.prepare('DELETE FROM outbox WHERE id = ?');
  // A text that replaced the refused one meanwhile, or became final, was not tried as such.
  const failed = database.prepare(`
    UPDATE outbox SET error = @error, not_before = @notBefore,
      state = CASE WHEN @state = 'dead' AND (version <> @version OR final <> @final) THEN 'queued' ELSE @state END
    WHERE id = @id`);
  // An edit may be repeated without harm; of a send nobody knows whether it arrived.
  const recover = database.prepare(`
    UPDATE outbox SET state = CASE WHEN message_id IS NULL THEN 'unknown' ELSE 'queued' END WHERE state = 'sending'`);
  const rooms = database
    .prepare<[], string>(`SELECT DISTINCT room FROM outbox WHERE state IN ('queued', 'sending', 'unknown')`)
    .pluck();
  const counts = database.prepare<[], { state: string; count: number }>(
    'SELECT state, count(*) AS count FROM outbox GROUP BY state',
  );
  const dead = database.prepare<[], DeadLetter>(`
    SELECT 'outbox' AS box, id, conversation, coalesce(error, '') AS error, created_at AS at
    FROM outbox WHERE state = 'dead' ORDER BY id`);
  const retry = database
    .prepare<[number], string>(`
      UPDATE outbox SET state = 'queued', attempts = 0, not_before = 0 WHERE id = ? AND state = 'dead' RETURNING room`)
    .pluck();
  const trace = database.prepare<[string, string], OutboxTrace>(`
    SELECT ${COLUMNS}, error, sent_at AS sentAt
    FROM outbox WHERE turn = ? OR message_id = ? ORDER BY id`);
  const prune = database.prepare(`DELETE FROM outbox WHERE state = 'sent' AND final = 1 AND sent_at < ?`);
  const release = database
    .prepare<[string], string>(`
      UPDATE outbox SET not_before = 0
      WHERE channel = ? AND state IN ('queued', 'sending', 'unknown') RETURNING room`)
    .pluck();

  return {
    /**
     * Says what a turn's reply should look like now, piece by piece. Pieces that changed are queued, ones that are
     * no longer wanted are dropped, or taken away where people have seen them. Run it within a transaction with
     * whatever the reply depends on.
     */
    set(turn: string, conversation: string, pieces: readonly Piece[], options: SetOptions): void {
      const { channel, account } = decodeConversation(conversation);
      const final = options.final ? 1 : 0;
      const rows = ofTurn.all(turn);
      pieces.forEach(({ text, ...rest }, seq) => {
        const extra = Object.keys(rest).length > 0 ? JSON.stringify(rest) : null;
        const row = rows[seq];
        if (!row) {
          const room = roomOf(conversation);
          const replyTo = seq === 0 ? (options.replyTo ?? null) : null;
          const now = options.now;
          insert.run({ turn, seq, channel, account, room, conversation, replyTo, text, extra, final, now });
        } else if (row.text !== text || row.extra !== extra) {
          change.run({ id: row.id, text, extra, final });
        } else if (row.final !== final) {
          if (options.marksDrafts) change.run({ id: row.id, text, extra, final });
          else finalise.run({ id: row.id, final });
        }
      });
      for (const row of rows.slice(pieces.length)) {
        const wanted = row.text !== '' || row.extra !== null;
        if (drop.run(row.id).changes === 0 && wanted)
          change.run({ id: row.id, text: '', extra: null, final });
      }
    },

    /**
     * What to tell a room next: the oldest that is not shown yet, so that order is kept; more of an answer that goes
     * on growing, when there is nothing else.
     */
    next: (room: string) => next.get(room),
    ofTurn: (turn: string) => ofTurn.all(turn),
    sending: (id: number): void => void sending.run(id),
    /** Records that the platform shows `version` of a row. */
    shown: (id: number, version: number, messageId: string, now: number): void =>
      void shown.run({ id, version, messageId, now }),
    removed: (id: number): void => void removed.run(id),
    /** The message that showed a row is gone: it goes out as a new one. */
    resend: (id: number): void => void resend.run(id),
    /** Records what becomes of a row after the attempt to show it as it is given. */
    failed: (
      { id, version, final }: OutboxRow,
      state: 'queued' | 'unknown' | 'dead',
      error: string,
      notBefore: number,
    ): void => void failed.run({ id, version, final, state, error, notBefore }),
    /** After a crash: sends that were under way may or may not have arrived. */
    recover: (): void => void recover.run(),
    /** Rooms that have yet to be told something. */
    rooms: () => rooms.all(),
    counts: (): Record<string, number> =>
      Object.fromEntries(counts.all().map((row) => [row.state, row.count])),
    deadLetters: () => dead.all(),
    /** Puts a dead letter back; returns its room. */
    retry: (id: number) => retry.get(id),
    trace: (turn: string, messageId: string) => trace.all(turn, messageId),
    prune: (before: number): number => prune.run(before).changes,
    /** Ends all waiting of a channel (its recipient came back); returns the rooms to look at. */
    hurry: (channel: string) => [...new Set(release.all(channel))],
  };
}

export type Outbox = ReturnType<typeof createOutbox>;
