/** Questions that wait for a button or a word: open → answered | expired | dismissed. */
import type { Ask } from '../message.ts';
import type { Database } from './database.ts';

export interface StoredAsk {
  /** The asking turn's id and the question's number within it: the same when the turn is run again. */
  id: string;
  conversation: string;
  /** Who was asked. */
  person: number;
  text: string;
  options: Ask['options'];
  state: 'open' | 'answered' | 'expired' | 'dismissed';
  /** The id of the option that was chosen. */
  answer: string | null;
  expiresAt: number;
}

export function createAsks(database: Database) {
  const insert = database.prepare(`
    INSERT INTO asks (id, conversation, person, text, options, state, expires_at)
    VALUES (@id, @conversation, @person, @text, @options, 'open', @expiresAt)`);
  const columns = 'id, conversation, person, text, options, state, answer, expires_at AS expiresAt';
  type Row = Omit<StoredAsk, 'options'> & { options: string };
  const get = database.prepare<[string], Row>(`SELECT ${columns} FROM asks WHERE id = ?`);
  const openIn = database.prepare<[string], Row>(
    `SELECT ${columns} FROM asks WHERE conversation = ? AND state = 'open' ORDER BY rowid DESC LIMIT 1`,
  );
  const close = database.prepare(`UPDATE asks SET state = ?, answer = ? WHERE id = ? AND state = 'open'`);
  const prune = database.prepare(`DELETE FROM asks WHERE state <> 'open' AND expires_at < ?`);
  const read = (row: Row | undefined): StoredAsk | undefined =>
    row && { ...row, options: JSON.parse(row.options) as Ask['options'] };

  return {
    add: (ask: Omit<StoredAsk, 'state' | 'answer'>): void =>
      void insert.run({ ...ask, options: JSON.stringify(ask.options) }),
    get: (id: string) => read(get.get(id)),
    openIn: (conversation: string) => read(openIn.get(conversation)),
    /** Ends an open question. Returns false when it had ended before. */
    close: (id: string, state: Exclude<StoredAsk['state'], 'open'>, answer?: string): boolean =>
      close.run(state, answer ?? null, id).changes === 1,
    prune: (before: number): number => prune.run(before).changes,
  };
}

export type Asks = ReturnType<typeof createAsks>;
