/** How the outbox is delivered, with a platform that does what a test wants. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Adapter } from '../src/adapters/adapter.ts';
import type { Channel } from '../src/adapters/index.ts';
import { createTerminal } from '../src/adapters/terminal.ts';
import { configSchema } from '../src/config.ts';
import { createChannels } from '../src/daemon/channels.ts';
import { createDelivery, type Delivery } from '../src/daemon/outbox.ts';
import { createSessions } from '../src/daemon/session.ts';
import { KimiError } from '../src/errors.ts';
import { createLog } from '../src/log.ts';
import { openStore, type Store } from '../src/memory/store.ts';
import { temporaryFolder } from './support/temp.ts';
import { until } from './support/wait.ts';

const room = 'terminal/local/main';
const log = createLog({ level: 'silent', secrets: () => [] });

interface Written {
  key: string;
  text: string;
}

function setUp(given: Partial<Adapter> = {}, now?: () => number) {
  const store = openStore(join(temporaryFolder(), 'kimi.db'));
  const delivery = createDelivery({ store, log, ...(now && { now }) });
  const written: Written[] = [];
  const adapter = (more: Partial<Adapter> = {}): Adapter => ({
    ...createTerminal(() => {}),
    marksDrafts: false,
    send: async ({ idempotencyKey: key, text }) => {
      written.push({ key, text });
      return { messageId: key };
    },
    edit: async (key, { text }) => void written.push({ key, text }),
    ...given,
    ...more,
  });
  const say = (turn: string, text: string, final = true) => {
    store.atomically(() => store.outbox.set(turn, room, [{ text }], { final, now: Date.now() }));
    delivery.kick(room);
  };
  return { store, delivery, written, adapter, say, sees: (text: string) => seen(written, text) };
}

const seen = (written: readonly Written[], text: string) =>
  until(text, () => written.some((one) => one.text === text), 10);

async function end({ store, delivery }: { store: Store; delivery: Delivery }): Promise<void> {
  await delivery.close(0);
  store.close();
}

/** Something that a test lets happen. */
function gate() {
  let open = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { open, opened };
}

test('what is queued in the very moment in which a room has been told all is delivered too', async () => {
  const set = setUp();
  set.delivery.attach(set.adapter());
  for (let ticks = 0; ticks < 30; ticks++) {
    set.say(`in:${ticks}a`, `first ${ticks}`);
    while (!set.written.some(({ text }) => text === `first ${ticks}`)) await Promise.resolve();
    for (let tick = 0; tick < ticks; tick++) await Promise.resolve();
    set.say(`in:${ticks}b`, `second ${ticks}`);
    await set.sees(`second ${ticks}`);
  }
  await end(set);
});

test.each(['ab', 'abc'])(
  'a final text that came while a draft was refused is sent all the same: %s',
  async (final) => {
    const under = gate();
    const set = setUp({
      edit: async () => {
        await under.opened;
        throw new KimiError('the message is gone', { code: 'refused' });
      },
    });
    set.delivery.attach(set.adapter());
    set.say('in:1', 'a', false);
    await set.sees('a');
    set.say('in:1', 'ab', false);
    await until('the edit is under way', () => set.store.outbox.counts().sending);
    set.say('in:1', final);
    under.open();
    await set.sees(final);
    await end(set);
  },
);

test('a draft that was refused is sent anew when it turns out to be the final text', async () => {
  const set = setUp({
    edit: async () => {
      throw new KimiError('the message is gone', { code: 'refused' });
    },
  });
  set.delivery.attach(set.adapter());
  set.say('in:1', 'a', false);
  await set.sees('a');
  set.say('in:1', 'ab', false);
  await until('the draft is refused', () => set.store.outbox.counts().dead);
  set.say('in:1', 'ab');
  await set.sees('ab');
  await end(set);
});

test('what waits for its turn when the channel starts anew goes out by the new connection', async () => {
  const set = setUp({ rates: { chatIntervalMs: 300 } });
  const refuse = async () => {
    throw new KimiError('stopped', { code: 'stopped' });
  };
  let stopped = false;
  const first = set.adapter();
  set.delivery.attach({ ...first, send: (...args) => (stopped ? refuse() : first.send(...args)) });
  set.say('in:1', 'one');
  await set.sees('one');
  set.say('in:2', 'two');
  await new Promise((resolve) => setImmediate(resolve));
  stopped = true;
  set.delivery.detach('terminal');
  set.delivery.attach(set.adapter());
  await set.sees('two');
  await end(set);
});

test('a clock that is set back holds no message up', async () => {
  let now = Date.now();
  const set = setUp({ rates: { chatIntervalMs: 20 } }, () => now);
  set.delivery.attach(set.adapter());
  set.say('in:1', 'one');
  await set.sees('one');
  now -= 3_600_000;
  set.say('in:2', 'two');
  await set.sees('two');
  await end(set);
});

test('a new message does not wait for an answer that goes on growing', async () => {
  const set = setUp({ rates: { chatIntervalMs: 60 } });
  set.delivery.attach(set.adapter());
  let length = 0;
  const growing = setInterval(() => set.say('in:1', 'x'.repeat(++length), false), 5);
  await set.sees('x');
  set.say('in:2', 'the status');
  await set.sees('the status').finally(() => clearInterval(growing));
  await end(set);
});

test('a turn that the disk kept from beginning is begun later, and the message counts as received', async () => {
  const store = openStore(join(temporaryFolder(), 'kimi.db'));
  const conversation = { channel: 'terminal', account: 'local', chat: 'main' };
  const sender = { id: '1', name: 'Ada' };
  const more = { messageId: '1', group: false, addressed: true, text: 'hi', attachments: [], sentAt: 0 };
  store.inbox.add({ conversation, sender, ...more }, 'turn', undefined, 0);
  let begun = false;
  const sessions = createSessions({
    store,
    log,
    ready: () => true,
    run: async (lease) => {
      begun = true;
      store.inbox.answered(lease.turn, 1);
    },
  });
  const { lease } = store.inbox;
  store.inbox.lease = Object.assign(() => {
    store.inbox.lease = lease;
    throw new Error('database or disk is full');
  }, lease);
  sessions.kick(room, 'turn');
  await until('the turn', () => begun, 20);
  await sessions.drain(0);
  store.close();
});

test('a channel that fails to stop keeps no other configuration from being taken', async () => {
  const set = setUp();
  const started: string[] = [];
  const definition: Channel = {
    name: 'terminal',
    off: () => undefined,
    settings: ({ assistant }) => assistant.name,
    create: async ({ assistant }) => {
      started.push(assistant.name);
      return set.adapter({
        stop: async () => {
          throw new Error('it hangs on');
        },
      });
    },
  };
  const channels = createChannels({
    definitions: [definition],
    receive: async () => {},
    delivery: set.delivery,
    commands: [],
    state: set.store.adapterState,
    log,
    onAttached: () => {},
  });
  for (const name of ['One', 'Two', 'Three'])
    await channels.apply(configSchema.parse({ assistant: { name } }));
  expect(started).toEqual(['One', 'Two', 'Three']);
  await channels.stop();
  await end(set);
});

test('a failure of the disk holds a room up only as long as it lasts', async () => {
  const set = setUp();
  set.delivery.attach(set.adapter());
  const { outbox } = set.store;
  const sending = outbox.sending;
  outbox.sending = () => {
    outbox.sending = sending;
    throw new Error('database or disk is full');
  };
  set.say('in:1', 'one');
  await set.sees('one');
  await end(set);
});
