/**
 * Thousands of replies, up to 64 KiB each, through the real delivery and the real adapters to stand-ins that keep the
 * platforms' limits: nothing too long, nothing refused, nothing sooner than allowed, nobody called. KIMI_FULL=1 runs
 * 3,000 of them.
 */
import { join } from 'node:path';
import fc from 'fast-check';
import { pino } from 'pino';
import { expect, test } from 'vitest';
import type { Adapter } from '../src/adapters/adapter.ts';
import { createDiscord } from '../src/adapters/discord.ts';
import { createSlack } from '../src/adapters/slack.ts';
import { createTelegram } from '../src/adapters/telegram.ts';
import { createDelivery } from '../src/daemon/outbox.ts';
import { openStore, type Store } from '../src/memory/store.ts';
import { encodeConversation } from '../src/message.ts';
import { FULL, markdown } from './support/arbitraries.ts';
import { startDiscord } from './support/discord.ts';
import { startSlack } from './support/slack.ts';
import { startTelegram } from './support/telegram.ts';
import { temporaryFolder } from './support/temp.ts';
import { until } from './support/wait.ts';

const EACH = FULL ? 1_000 : 20;
const LONGEST = (FULL ? 64 : 12) * 1_024;

/** Mentions as a model might write them, in every platform's way. */
const mentions = fc.constantFrom(
  '<!channel> ',
  '<!here> ',
  '<@U1001> ',
  '@everyone ',
  '@here ',
  '<@300000000000000001> ',
  '<@&5> ',
);
/** Most are short; each fiftieth is as long as they come. */
const reply = fc.tuple(markdown, mentions, markdown, fc.nat({ max: 49 })).map(([one, mention, two, rank]) => {
  const text = `Answer. ${one}${mention}${two}`;
  return rank === 0 ? text.repeat(Math.ceil(LONGEST / text.length)).slice(0, LONGEST) : text;
});

/** Connects an adapter and returns the key of each person's conversation, once they have written. */
async function connect(adapter: Adapter, say: (person: number) => void, log: pino.Logger): Promise<string[]> {
  const keys = new Set<string>();
  await adapter.start(async ({ conversation }) => void keys.add(encodeConversation(conversation)), {
    log,
    commands: [],
  });
  await until(`${adapter.name} is connected`, () => adapter.health().state === 'connected');
  for (let person = 0; person < EACH; person++) say(person);
  await until(`everybody's message on ${adapter.name}`, () => keys.size === EACH, 300);
  return [...keys];
}

test(`${3 * EACH} replies on three platforms`, async () => {
  const lines: string[] = [];
  const log = pino({ level: 'warn' }, { write: (line: string) => void lines.push(line) });
  const store: Store = openStore(join(temporaryFolder(), 'kimi.db'));
  const telegram = await startTelegram({ enforceRates: true });
  const slack = await startSlack({ enforceRates: true });
  const discord = await startDiscord({ enforceRates: true });
  const adapters = {
    telegram: createTelegram({ token: telegram.token, apiRoot: telegram.apiRoot }),
    slack: createSlack({ botToken: slack.botToken, appToken: slack.appToken, apiUrl: slack.apiUrl }),
    discord: createDiscord({ token: discord.token, apiUrl: discord.apiUrl }),
  };
  const delivery = createDelivery({ store, log });
  try {
    const keys = {
      telegram: await connect(adapters.telegram, (n) => telegram.say(1_000 + n, 'hello'), log),
      slack: await connect(adapters.slack, (n) => slack.say(`U${1_000 + n}`, 'hello'), log),
      discord: await connect(
        adapters.discord,
        (n) => discord.say(String(300_000_000_000_000_000n + BigInt(n)), 'hello'),
        log,
      ),
    };
    lines.length = 0;
    const texts = fc.sample(reply, EACH);
    let pieces = 0;
    const textOf = (id: number) =>
      Object.keys(adapters)
        .flatMap((name) => texts.flatMap((_, n) => store.outbox.ofTurn(`reply:${name}:${n}`)))
        .find((row) => row.id === id)?.text;
    store.atomically(() => {
      for (const [name, adapter] of Object.entries(adapters)) {
        keys[name as keyof typeof keys].forEach((key, n) => {
          const split = adapter.split(texts[n] ?? '').map((text) => ({ text }));
          pieces += split.length;
          store.outbox.set(`reply:${name}:${n}`, key, split, { final: true, now: 0 });
        });
      }
    });
    for (const adapter of Object.values(adapters)) delivery.attach(adapter);
    await until(
      'all is delivered',
      () => (store.outbox.counts().sent ?? 0) === pieces || store.outbox.counts().dead,
      1_500,
    );

    const dead = store.outbox.deadLetters().map((letter) => ({ ...letter, text: textOf(letter.id) }));
    expect(dead).toEqual([]);
    expect(telegram.sent.length + slack.sent.length + discord.sent.length).toBe(pieces);
    // Whatever was refused, for its length, its markup or its haste, would have been logged.
    expect(lines).toEqual([]);
    expect(slack.sent.flatMap(({ pings }) => pings)).toEqual([]);
    expect(discord.pings).toEqual([]);
    expect(discord.premature).toEqual([]);
    process.stdout.write(`${3 * EACH} replies in ${pieces} messages\n`);
  } finally {
    await delivery.close(0);
    await Promise.all(Object.values(adapters).map((adapter) => adapter.stop()));
    await Promise.all([telegram.close(), slack.close(), discord.close()]);
    store.close();
  }
}, 1_800_000);
