import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { configSchema } from '../src/config.ts';
import { createAccess } from '../src/daemon/access.ts';
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
