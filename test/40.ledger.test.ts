import { existsSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { openDatabase } from '../src/memory/database.ts';
import { migrations } from '../src/memory/migrations.ts';
import { createStore, openStore } from '../src/memory/store.ts';
import { decodeConversation, encodeConversation, type Inbound } from '../src/message.ts';
import { temporaryFolder } from './support/temp.ts';

const conversation = { channel: 'telegram', account: '7', chat: '1001' };
const key = encodeConversation(conversation);

function message(id: number, text = `m${id}`): Inbound {
  return {
    conversation,
    messageId: `1001:${id}`,
    sender: { id: '1001', name: 'Ada' },
    group: false,
    addressed: true,
    text,
    attachments: [],
    sentAt: id,
  };
}

const newStore = () => openStore(join(temporaryFolder(), 'kimi.db'));

describe('the database', () => {
  test('refuses a schema that it does not know', () => {
    const path = join(temporaryFolder(), 'kimi.db');
    openDatabase(path, [
      ...migrations,
      { name: '2099-future', sql: 'CREATE TABLE future (id INTEGER) STRICT' },
    ]).close();
    expect(() => openDatabase(path)).toThrow(/newer Kimi.*2099-future/);
  });

  test('saves a copy before a migration of a database that holds something', () => {
    const path = join(temporaryFolder(), 'kimi.db');
    openDatabase(path).close();
    const more = [...migrations, { name: 'next', sql: 'CREATE TABLE more (id INTEGER) STRICT' }];
    openDatabase(path, more).close();
    expect(existsSync(`${path}.before-next`)).toBe(true);
    openDatabase(`${path}.before-next`).close();
  });

  test('a migration that fails leaves nothing behind and can be tried again', () => {
    const path = join(temporaryFolder(), 'kimi.db');
    const broken = [
      ...migrations,
      { name: 'broken', sql: 'CREATE TABLE half (id INTEGER) STRICT; CREATE NONSENSE' },
    ];
    expect(() => openDatabase(path, broken)).toThrow(/syntax error/);
    const database = openDatabase(path);
    expect(database.prepare("SELECT name FROM sqlite_master WHERE name = 'half'").all()).toEqual([]);
    database.close();
  });

  test('says that a file is no database, and what to do', async () => {
    const { writeFileSync } = await import('node:fs');
    const path = join(temporaryFolder(), 'kimi.db');
    writeFileSync(
      path,
      'not a database, but long enough to have a header of its own, which is a hundred bytes'.repeat(20),
    );
    expect(() => openDatabase(path)).toThrow(/damaged.*put a copy back/);
  });
});

describe('the inbox', () => {
  test('takes a message once', () => {
    const store = newStore();
    expect(store.inbox.add(message(1), 'turn', undefined, 1)).toBe(true);
    expect(store.inbox.add(message(1), 'turn', undefined, 2)).toBe(false);
    expect(store.inbox.counts()).toEqual({ received: 1 });
    store.close();
  });

  test('takes waiting messages together, in order, but a command alone', () => {
    const store = newStore();
    store.inbox.add(message(1), 'turn', undefined, 1);
    store.inbox.add(message(2), 'turn', undefined, 1);
    store.inbox.add(message(3, '/new'), 'turn', { name: 'new', args: '' }, 1);
    store.inbox.add(message(4), 'turn', undefined, 1);
    const turns: string[][] = [];
    for (let lease = store.inbox.lease(key, 'turn', 2); lease; lease = store.inbox.lease(key, 'turn', 2)) {
      turns.push(lease.entries.map((entry) => entry.text));
      store.inbox.answered(lease.turn, 3);
    }
    expect(turns).toEqual([['m1', 'm2'], ['/new'], ['m4']]);
    store.close();
  });

  test('gives a turn the same id when it is taken again, with what came meanwhile', () => {
    const store = newStore();
    store.inbox.add(message(1), 'turn', undefined, 1);
    const before = store.inbox.lease(key, 'turn', 1);
    store.inbox.add(message(2), 'turn', undefined, 2);
    store.recover();
    const after = store.inbox.lease(key, 'turn', 3);
    expect(after?.turn).toBe(before?.turn);
    expect(after?.entries.map((entry) => entry.text)).toEqual(['m1', 'm2']);
    expect(after?.attempts).toBe(2);
    store.close();
  });

  test('never gives a turn the id of another that is pruned: its reply would go where that one went', () => {
    const store = newStore();
    store.inbox.add(message(1), 'turn', undefined, 1);
    const before = store.inbox.lease(key, 'turn', 1);
    store.outbox.set(before?.turn ?? '', key, [{ text: 'for Ada' }], { final: true, now: 1 });
    const [row] = store.outbox.ofTurn(before?.turn ?? '');
    if (row) store.outbox.failed(row, 'dead', 'refused', 0);
    store.inbox.answered(before?.turn ?? '', 1);
    store.prune(Date.now());
    store.inbox.add(message(2), 'turn', undefined, Date.now());
    expect(store.inbox.lease(key, 'turn', Date.now())?.turn).not.toBe(before?.turn);
    store.close();
  });

  test('forgets the text of what was answered, and keeps that of what is dead', () => {
    const path = join(temporaryFolder(), 'kimi.db');
    const database = openDatabase(path);
    const store = createStore(database);
    store.inbox.add(message(1, 'private words'), 'turn', undefined, 1);
    const lease = store.inbox.lease(key, 'turn', 1);
    store.inbox.answered(lease?.turn ?? '', 2);
    expect(database.prepare('SELECT body FROM inbox').pluck().get()).toBe('');
    store.inbox.add(message(2, 'poison'), 'turn', undefined, 3);
    store.inbox.dead(store.inbox.lease(key, 'turn', 3)?.turn ?? '', 'broke down', 4);
    expect(store.inbox.deadLetters()).toMatchObject([{ box: 'inbox', error: 'broke down' }]);
    const id = store.inbox.deadLetters()[0]?.id ?? 0;
    expect(store.inbox.retry(id)).toEqual({ conversation: key, lane: 'turn' });
    expect(store.inbox.lease(key, 'turn', 5)?.entries[0].text).toBe('poison');
    store.close();
  });
});

describe('the outbox', () => {
  const show = (store: ReturnType<typeof newStore>, pieces: string[], final: boolean) =>
    store.outbox.set(
      'in:1',
      key,
      pieces.map((text) => ({ text })),
      { final, now: 1 },
    );

  test('a reply that grows is edited where it is shown, and sent where it is not', () => {
    const store = newStore();
    show(store, ['a'], false);
    const first = store.outbox.next(key);
    store.outbox.sending(first?.id ?? 0);
    show(store, ['ab'], false);
    store.outbox.shown(first?.id ?? 0, first?.version ?? 0, 'p1', 2);
    expect(store.outbox.next(key)).toMatchObject({ text: 'ab', messageId: 'p1', state: 'queued' });
    show(store, ['abc', 'd'], true);
    store.outbox.shown(first?.id ?? 0, store.outbox.next(key)?.version ?? 0, 'p1', 3);
    expect(store.outbox.next(key)).toMatchObject({ text: 'd', messageId: null, final: 1 });
    store.close();
  });

  test('pieces that are no longer wanted are dropped, or taken away where they were seen', () => {
    const store = newStore();
    show(store, ['a', 'b', 'c'], false);
    const [, b] = store.outbox.ofTurn('in:1');
    store.outbox.sending(b?.id ?? 0);
    store.outbox.shown(b?.id ?? 0, 1, 'p2', 2);
    show(store, ['x'], true);
    expect(store.outbox.ofTurn('in:1').map(({ text }) => text)).toEqual(['x', '']);
    store.close();
  });

  test('after a crash a send is unknown, an edit is simply done again', () => {
    const store = newStore();
    show(store, ['a', 'b'], false);
    const [a, b] = store.outbox.ofTurn('in:1');
    store.outbox.shown(a?.id ?? 0, 1, 'p1', 2);
    show(store, ['aa', 'b'], true);
    store.outbox.sending(a?.id ?? 0);
    store.outbox.sending(b?.id ?? 0);
    store.recover();
    expect(store.outbox.ofTurn('in:1').map(({ state }) => state)).toEqual(['queued', 'unknown']);
    expect(store.outbox.next(key)?.text).toBe('aa');
    store.close();
  });
});

test('a conversation key can be read back, whatever its parts hold', () => {
  const part = fc.string({ minLength: 1, unit: 'grapheme' });
  const id = fc.record(
    { channel: part, account: fc.string(), chat: part, thread: part, person: part },
    { requiredKeys: ['channel', 'account', 'chat'] },
  );
  fc.assert(
    fc.property(id, (given) => {
      expect(decodeConversation(encodeConversation(given))).toEqual(given);
    }),
  );
});
