/** Conversations and what was said in them. */
import type { Database } from './database.ts';

export interface Conversation {
  key: string;
  person: number | null;
  /** A model chosen for this conversation: `provider/name`. */
  model: string | null;
  /** What is left of turns that no longer fit the model's window. */
  summary: string;
  /** Messages up to this id are in the summary, or before /new. */
  historyFrom: number;
}

export interface StoredMessage {
  id: number;
  role: 'user' | 'assistant';
  content: string;
  at: number;
}

/** A prompt never takes more messages than this; what is older is reached through the summary. */
const MOST_HISTORY = 400;

export function createConversations(database: Database) {
  const insert = database.prepare(
    'INSERT INTO conversations (key, person, created_at) VALUES (?, ?, ?) ON CONFLICT (key) DO NOTHING',
  );
  const get = database.prepare<[string], Conversation>(`
    SELECT key, person, model, summary, history_from AS historyFrom FROM conversations WHERE key = ?`);
  const history = database.prepare<[string, number, number], StoredMessage>(`
    SELECT id, role, content, at FROM (
      SELECT id, role, content, at FROM messages WHERE conversation = ? AND id > ? ORDER BY id DESC LIMIT ?
    ) ORDER BY id`);
  const append = database.prepare(
    'INSERT INTO messages (conversation, turn, role, content, at) VALUES (?, ?, ?, ?, ?)',
  );
  const fresh = database.prepare(`
    UPDATE conversations SET summary = '',
      history_from = (SELECT coalesce(max(id), 0) FROM messages WHERE conversation = conversations.key)
    WHERE key = ?`);
  const fold = database.prepare('UPDATE conversations SET summary = ?, history_from = ? WHERE key = ?');
  const setModel = database.prepare('UPDATE conversations SET model = ? WHERE key = ?');
  const countIn = database
    .prepare<[string], number>('SELECT count(*) FROM messages WHERE conversation = ?')
    .pluck();
  const counts = database.prepare<[], { conversations: number; messages: number }>(`
    SELECT (SELECT count(*) FROM conversations) AS conversations, (SELECT count(*) FROM messages) AS messages`);

  return {
    exists: (key: string): boolean => get.get(key) !== undefined,
    /** The conversation, made where it is new. */
    open(key: string, person: number, now: number): Conversation {
      insert.run(key, person, now);
      return get.get(key) as Conversation;
    },
    /** What was said since /new or the last summary, oldest first. */
    history: (conversation: Conversation) =>
      history.all(conversation.key, conversation.historyFrom, MOST_HISTORY),
    append: (key: string, turn: string, role: StoredMessage['role'], content: string, now: number): void =>
      void append.run(key, turn, role, content, now),
    /** Begins anew: what was said stays stored but is no longer sent to the model. */
    fresh: (key: string): void => void fresh.run(key),
    /** Replaces the messages up to `upTo` by a summary. */
    fold: (key: string, summary: string, upTo: number): void => void fold.run(summary, upTo, key),
    setModel: (key: string, model: string | null): void => void setModel.run(model, key),
    /** How many messages are stored of these conversations. */
    countMessages: (keys: readonly string[]): number =>
      keys.reduce((sum, key) => sum + (countIn.get(key) ?? 0), 0),
    counts: () => counts.get() ?? { conversations: 0, messages: 0 },
  };
}

export type Conversations = ReturnType<typeof createConversations>;
