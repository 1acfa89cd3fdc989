import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { createAsks } from '../src/daemon/asks.ts';
import { openStore } from '../src/memory/store.ts';
import { temporaryFolder } from './support/temp.ts';

const key = 'telegram/7/1001';
const asked = { id: 1, role: 'member' as const };
const owner = { id: 2, role: 'owner' as const };
const stranger = { id: 3, role: 'member' as const };
const question = {
  text: 'Sure?',
  options: [
    { id: 'yes', label: 'Delete' },
    { id: 'no', label: 'Keep' },
  ],
};

function setUp(path = join(temporaryFolder(), 'kimi.db')) {
  const store = openStore(path);
  const asks = createAsks({ store, onQueued: () => {} });
  const abort = new AbortController();
  const turn = { id: 'in:1', key, person: asked, signal: abort.signal };
  const press = (option: string, by: typeof asked | typeof owner) => {
    store.atomically(() => asks.press('in:1.1', option, by))();
  };
  const type = (text: string, by: typeof asked | typeof owner = asked) => {
    const { answered, afterwards } = store.atomically(() => asks.typed(key, text, by));
    afterwards();
    return answered;
  };
  const shown = () => store.outbox.ofTurn('ask:in:1.1')[0];
  return { store, asks, turn, press, type, shown, abort, path };
}

describe('a question', () => {
  test('is shown with its buttons, answered by a press, and shows the answer without them', async () => {
    const { asks, turn, press, shown, store } = setUp();
    const answer = asks.ask(turn, 1, question);
    expect(JSON.parse(shown()?.extra ?? '')).toEqual({ ask: { id: 'in:1.1', options: question.options } });
    press('yes', asked);
    expect(await answer).toBe('yes');
    expect(shown()).toMatchObject({ text: 'Sure?\n\n→ Delete', extra: null });
    store.close();
  });

  test('is answered by typing the option, in any case', async () => {
    const { asks, turn, type, store } = setUp();
    const answer = asks.ask(turn, 1, question);
    expect(type(' keep ')).toBe(true);
    expect(await answer).toBe('no');
    store.close();
  });

  test('is answered by nobody but who was asked, or the owner', async () => {
    const { asks, turn, press, type, shown, store } = setUp();
    const answer = asks.ask(turn, 1, question);
    press('yes', stranger);
    expect(type('delete', stranger)).toBe(false);
    expect(shown()?.text).toBe('Sure?');
    press('no', owner);
    expect(await answer).toBe('no');
    store.close();
  });

  test('takes no option that it does not have, and no second answer', async () => {
    const { asks, turn, press, shown, store } = setUp();
    const answer = asks.ask(turn, 1, question);
    press('perhaps', asked);
    press('no', asked);
    press('yes', asked);
    expect(await answer).toBe('no');
    expect(shown()?.text).toMatch(/→ Keep$/);
    store.close();
  });

  test('is passed over by other words of the person', async () => {
    const { asks, turn, type, shown, store } = setUp();
    const answer = asks.ask(turn, 1, question);
    expect(type('what is the weather?')).toBe(false);
    expect(await answer).toBeUndefined();
    expect(shown()?.text).toMatch(/Passed over/);
    store.close();
  });

  test('is not passed over by other words of the owner', async () => {
    const { asks, turn, type, press, shown, store } = setUp();
    const answer = asks.ask(turn, 1, question);
    expect(type('what is the weather?', owner)).toBe(false);
    expect(shown()?.text).toBe('Sure?');
    press('yes', asked);
    expect(await answer).toBe('yes');
    store.close();
  });

  test('expires visibly', async () => {
    const { asks, turn, shown, store } = setUp();
    expect(await asks.ask(turn, 1, { ...question, deadlineMs: 1 })).toBeUndefined();
    expect(shown()?.text).toMatch(/No answer in time/);
    store.close();
  });

  test('ends with its turn', async () => {
    const { asks, turn, abort, shown, store } = setUp();
    const answer = asks.ask(turn, 1, question);
    abort.abort('stop');
    expect(await answer).toBeUndefined();
    expect(shown()?.extra).toBeNull();
    store.close();
  });

  test('stays open over a restart, and an answer that was given is not asked for again', async () => {
    const first = setUp();
    const before = first.asks.ask(first.turn, 1, question);
    first.abort.abort('drain');
    await before;
    expect(first.shown()?.extra).not.toBeNull();
    first.store.close();

    const second = setUp(first.path);
    const again = second.asks.ask(second.turn, 1, question);
    second.press('yes', asked);
    expect(await again).toBe('yes');
    expect(await second.asks.ask(second.turn, 1, question)).toBe('yes');
    second.store.close();
  });
});
