import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { describe, expect, test } from 'vitest';
import { createTerminal } from '../src/adapters/terminal.ts';
import { configSchema } from '../src/config.ts';
import { createAccess } from '../src/daemon/access.ts';
import { createAsks } from '../src/daemon/asks.ts';
import { createAttachmentStore } from '../src/daemon/attachments.ts';
import { createRouter } from '../src/daemon/router.ts';
import { createLog } from '../src/log.ts';
import { openStore } from '../src/memory/store.ts';
import type { Inbound } from '../src/message.ts';
import { temporaryFolder } from './support/temp.ts';

const HOUR = 3_600_000;

function setUp(access: object = {}) {
  const store = openStore(join(temporaryFolder(), 'kimi.db'));
  const config = configSchema.parse({ access });
  return {
    store,
    access: createAccess({ config: () => config, people: store.people, conversations: store.conversations }),
  };
}

function from(id: string, group = false): Inbound {
  return {
    conversation: { channel: 'telegram', account: '7', chat: id },
    messageId: `${id}:1`,
    sender: { id, name: `Person ${id}` },
    group,
    addressed: true,
    text: 'hello',
    attachments: [],
    sentAt: 0,
  };
}

function codeFor(access: ReturnType<typeof createAccess>, id: string, now: number): string | undefined {
  const admission = access.admit(from(id), now);
  return admission.admitted ? undefined : /approve ([A-Z0-9]{8})/.exec(admission.reply ?? '')?.[1];
}

describe('pairing', () => {
  test('a stranger is shown a code, is let in by it, and the first one is the owner', () => {
    const { store, access } = setUp();
    const first = codeFor(access, '1', 0) ?? '';
    const second = codeFor(access, '2', 0) ?? '';
    expect(store.people.approvePairing(first.toLowerCase(), 1)).toMatchObject({ role: 'owner', userId: '1' });
    expect(store.people.approvePairing(second, 1)).toMatchObject({ role: 'member' });
    expect(access.admit(from('1'), 2)).toMatchObject({ admitted: true, person: { role: 'owner' } });
    store.close();
  });

  test('the same code is shown again, five times, and holds for an hour', () => {
    const { store, access } = setUp();
    const codes = Array.from({ length: 6 }, (_, n) => codeFor(access, '1', n));
    expect(new Set(codes.slice(0, 5)).size).toBe(1);
    expect(codes[5]).toBeUndefined();
    expect(store.people.approvePairing(codes[0] ?? '', HOUR + 1)).toBeUndefined();
    expect(codeFor(access, '1', HOUR + 1)).toMatch(/^[A-Z0-9]{8}$/);
    store.close();
  });

  test('no more than three wait at once', () => {
    const { store, access } = setUp();
    expect(['1', '2', '3', '4'].map((id) => codeFor(access, id, 0) !== undefined)).toEqual([
      true,
      true,
      true,
      false,
    ]);
    store.close();
  });

  test('five wrong codes void the right one', () => {
    const { store, access } = setUp();
    const code = codeFor(access, '1', 0) ?? '';
    for (let n = 0; n < 5; n++) expect(store.people.approvePairing('WRONG', 1)).toBeUndefined();
    expect(store.people.approvePairing(code, 1)).toBeUndefined();
    store.close();
  });

  test('no code is shown in a group', () => {
    const { store, access } = setUp();
    expect(access.admit(from('1', true), 0)).toEqual({ admitted: false });
    store.close();
  });
});

test('with an allowlist, those on it are let in and others are told nothing', () => {
  const { store, access } = setUp({ policy: 'allowlist', allow: ['telegram:1'] });
  expect(access.admit(from('1'), 0).admitted).toBe(true);
  expect(access.admit(from('2'), 0)).toEqual({ admitted: false });
  store.close();
});

test('open lets everybody in, as members', () => {
  const { store, access } = setUp({ policy: 'open' });
  expect(access.admit(from('2'), 0)).toMatchObject({ admitted: true, person: { role: 'member' } });
  store.close();
});

describe('rules', () => {
  const rules = [
    { match: 'telegram', policy: 'open' },
    { match: 'telegram:2', policy: 'deny' },
    { match: 'telegram:-100', policy: 'allowlist', mention: false },
  ];

  test("a person's rule counts more than a room's, a room's more than a channel's, that more than the policy", () => {
    const { store, access } = setUp({ rules });
    expect(access.admit(from('1'), 0).admitted).toBe(true);
    expect(access.admit(from('2'), 0)).toEqual({ admitted: false });
    const inRoom = (id: string) => ({
      ...from(id, true),
      conversation: { channel: 'telegram', account: '7', chat: '-100', person: id },
    });
    expect(access.admit(inRoom('9'), 0)).toEqual({ admitted: false });
    store.close();
  });

  test('a room may need no mention', () => {
    const { store, access } = setUp({ rules });
    const unaddressed = (chat: string) => ({
      ...from('1', true),
      addressed: false,
      conversation: { channel: 'telegram', account: '7', chat },
    });
    expect(access.isAddressed(unaddressed('-100'))).toBe(true);
    expect(access.isAddressed(unaddressed('-200'))).toBe(false);
    store.close();
  });
});

describe('strangers', () => {
  const router = (access: object) => {
    const set = setUp(access);
    const nothing = () => {};
    const asks = createAsks({ store: set.store, onQueued: nothing });
    const log = createLog({ level: 'silent', secrets: () => [] });
    const command = (name: string) =>
      name === 'link' ? { name, description: '', immediate: true } : undefined;
    const receive = createRouter({ ...set, asks, log, command, onReceived: nothing, onQueued: nothing });
    return { ...set, receive };
  };

  test('leave nothing behind when they are told nothing', async () => {
    const { store, receive } = router({ policy: 'allowlist' });
    for (let n = 0; n < 20; n++) await receive({ ...from('9'), messageId: `9:${n}` });
    expect(store.inbox.counts()).toEqual({});
    expect(store.outbox.counts()).toEqual({});
    store.close();
  });

  test('however many they are, three are answered five times', async () => {
    const { store, receive } = router({});
    for (let n = 0; n < 200; n++) await receive({ ...from(String(n % 20)), messageId: String(n) });
    expect(store.outbox.counts()).toEqual({ queued: 15 });
    expect(store.inbox.counts()).toEqual({ answered: 15 });
    expect(store.conversations.counts().conversations).toBe(0);
    store.close();
  });

  test('are not remembered once their code has expired', () => {
    const { store, access } = setUp();
    codeFor(access, '1', 0);
    store.people.startLink(store.people.ensure('slack', { id: 'U1', name: 'Ada' }, 'member', 0).id, 0);
    store.prune(HOUR);
    expect(store.people.pendingPairings(0)).toEqual([]);
    expect(store.people.prune(HOUR)).toBe(0);
    store.close();
  });
});

describe('linking', () => {
  test('two accounts become one person, with the higher role and both conversations', () => {
    const { store } = setUp({ policy: 'open' });
    const { people, conversations } = store;
    const ada = people.ensure('telegram', { id: '1', name: 'Ada' }, 'member', 0);
    const adaOnSlack = people.ensure('slack', { id: 'U1', name: 'ada' }, 'owner', 0);
    conversations.open('telegram/7/1', ada.id, 0);
    conversations.open('slack/T/D1', adaOnSlack.id, 0);
    const ask = { conversation: 'slack/T/D1', person: adaOnSlack.id, text: '?', options: [], expiresAt: 9 };
    store.asks.add({ id: 'in:1.1', ...ask });
    const code = people.startLink(ada.id, 0);
    expect(people.link(code, adaOnSlack.id, 1)).toBe(ada.id);
    expect(people.find('slack', 'U1')).toMatchObject({ id: ada.id, role: 'owner' });
    expect(store.conversationsOf(ada.id).toSorted()).toEqual(['slack/T/D1', 'telegram/7/1']);
    expect(people.link(code, adaOnSlack.id, 2)).toBeUndefined();
    expect(store.asks.get('in:1.1')?.person).toBe(ada.id);
    store.close();
  });

  test('a stranger who shows a code is let in to use it, and five wrong codes void it', () => {
    const { store, access } = setUp();
    const ada = store.people.ensure('slack', { id: 'U1', name: 'Ada' }, 'owner', 0);
    const code = store.people.startLink(ada.id, 0);
    expect(access.admit({ ...from('1'), text: `/link ${code}` }, 1).admitted).toBe(true);
    for (let n = 0; n < 5; n++) access.admit({ ...from('2'), text: '/link WRONG' }, 1);
    expect(access.admit({ ...from('1'), text: `/link ${code}` }, 1).admitted).toBe(false);
    store.close();
  });
});

test('the files of what is forgotten are to go too, but those of others stay', async () => {
  const folder = temporaryFolder();
  const store = openStore(join(folder, 'kimi.db'));
  const turns = ['1', '2'].map((id) => {
    store.inbox.add(from(id), 'turn', undefined, 0);
    return store.inbox.lease(`telegram/7/${id}`, 'turn', 0)?.turn ?? '';
  });
  const attachments = createAttachmentStore(join(folder, 'attachments'), () => 1e6);
  const adapter = {
    ...createTerminal(() => {}),
    fileLimits: { download: 1e6, upload: 1e6 },
    download: async () => Readable.from([Buffer.from('words')]),
  };
  const attachment = { kind: 'document', name: 'a.txt', mediaType: 'text/plain', bytes: 5 } as const;
  const paths: string[] = [];
  for (const turn of turns) {
    const from = { ...attachment, source: { platformId: 'x' } };
    const { source } = await attachments.fetch(adapter, from, turn, new AbortController().signal);
    paths.push('path' in source ? source.path : '');
  }
  await attachments.remove(store.forgetConversations(['telegram/7/1'], 'in:none', 1));
  expect(paths.map((path) => existsSync(path))).toEqual([false, true]);
  store.close();
});

test('what is forgotten is not in the files any more', async () => {
  const { readFileSync } = await import('node:fs');
  const path = join(temporaryFolder(), 'kimi.db');
  const store = openStore(path);
  const person = store.people.ensure('telegram', { id: '1', name: 'UNFORGOTTEN-name' }, 'member', 0);
  const key = 'telegram/7/1';
  store.conversations.open(key, person.id, 0);
  for (let n = 0; n < 200; n++)
    store.conversations.append(key, `in:${n}`, 'user', `UNFORGOTTEN-words ${n}`, n);
  store.outbox.set('in:1', key, [{ text: 'UNFORGOTTEN-reply' }], { final: true, now: 0 });
  store.outbox.shown(store.outbox.ofTurn('in:1')[0]?.id ?? 0, 1, '1:1', 0);
  store.people.requestPairing('telegram', { id: '1', name: 'UNFORGOTTEN-name' }, key, 0);
  store.forgetConversations(store.conversationsOf(person.id), 'in:none', person.id);
  for (const file of [path, `${path}-wal`]) expect(readFileSync(file, 'latin1')).not.toMatch(/UNFORGOTTEN/);
  store.close();
});
