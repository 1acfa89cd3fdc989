/**
 * The kill test: 20 people send 200 messages to the built daemon while it is killed with SIGKILL, at random instants
 * and at each named transition, and started again until all is answered. KIMI_FULL=1 runs it at full size.
 */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import Sqlite from 'better-sqlite3';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { configure, type DaemonProcess, startDaemonProcess } from './support/daemon.ts';
import { type StandIn, startOllama } from './support/ollama.ts';
import { startTelegram, type TelegramServer } from './support/telegram.ts';
import { temporaryFolder } from './support/temp.ts';

const FULL = process.env.KIMI_FULL === '1';
const PEOPLE = 20;
const MESSAGES = FULL ? 200 : 60;
const RANDOM_KILLS = FULL ? 40 : 6;
/** Each is reached a number of times before the kill, so that kills fall early and late. */
const TRANSITIONS = [
  'inbox.committed',
  'turn.leased',
  'draft.queued',
  'turn.answered',
  'send.begun',
  'send.done',
  'send.recorded',
].flatMap((name) => (FULL ? [1, 2, 7, 15] : [2]).map((count) => `${name}:${count}`));

let ollama: StandIn;
let telegram: TelegramServer;
let daemon: DaemonProcess | undefined;
const home = temporaryFolder();

beforeAll(async () => {
  ollama = await startOllama();
  telegram = await startTelegram();
  // In three pieces with pauses between, so that some answers are seen growing.
  ollama.reply = (body) => {
    const asked = body.messages.at(-1)?.content ?? '';
    return { text: ['Answer', ' to ', asked], before: (index) => sleep(index * 150 * Math.random()) };
  };
  configure(home, {
    models: {
      providers: { ollama: { baseUrl: ollama.url }, embedded: { download: 'never' } },
      concurrency: 16,
    },
    channels: { telegram: { token: telegram.token, apiRoot: telegram.apiRoot } },
    access: { policy: 'open' },
  });
});

afterAll(async () => {
  await daemon?.end('SIGKILL');
  await telegram.close();
  await ollama.close();
});

const person = (n: number) => 1_000 + (n % PEOPLE);
const marker = (n: number) => `#${String(n).padStart(3, '0')}#`;

/** The numbers of the messages that a text answers, in the order in which it names them. */
const answered = (text: string) => [...text.matchAll(/#(\d{3})#/g)].map((match) => Number(match[1]));

test(`${MESSAGES} messages of ${PEOPLE} people, ${RANDOM_KILLS + TRANSITIONS.length} kills: nothing lost, nothing answered twice but where a send went unrecorded`, async () => {
  let sent = 0;
  let toldOfDeath = 0;
  const sayNext = () => {
    if (sent < MESSAGES) telegram.say(person(sent), `Please answer ${marker(sent++)}`);
  };
  const kills = [...TRANSITIONS, ...Array.from({ length: RANDOM_KILLS }, () => undefined)];
  const everyKill = Math.ceil(MESSAGES / kills.length);

  for (const transition of kills) {
    daemon = startDaemonProcess(home, transition ? { KIMI_KILL_AT: transition } : {});
    await Promise.race([daemon.ready, daemon.exited]).catch(() => {});
    for (let n = 0; n < everyKill; n++) sayNext();
    // A transition that is not reached any more (all is answered) is a kill at a random instant.
    const patience = AbortSignal.timeout(transition ? 4_000 : Math.floor(Math.random() * 600));
    await Promise.race([
      daemon.exited,
      new Promise((resolve) => patience.addEventListener('abort', resolve)),
    ]);
    await daemon.end('SIGKILL');
    toldOfDeath++;
  }
  while (sent < MESSAGES) sayNext();

  daemon = startDaemonProcess(home);
  await daemon.ready;
  const missing = () => {
    const there = new Set(telegram.sent.flatMap(({ text }) => answered(text)));
    return Array.from({ length: MESSAGES }, (_, n) => n).filter((n) => !there.has(n));
  };
  await telegram
    .waitFor(() => missing().length === 0, 'every message is answered', 120_000)
    .catch((error: Error) => {
      throw new Error(`${error.message}; missing ${missing()}; the daemon said ${daemon?.stderr()}`);
    });
  expect(await daemon.end('SIGTERM')).toBe(0);
  expect(toldOfDeath).toBe(kills.length);

  const database = new Sqlite(join(home, 'kimi.db'), { readonly: true });
  expect(database.pragma('integrity_check', { simple: true })).toBe('ok');
  const open = database
    .prepare("SELECT count(*) FROM inbox WHERE state IN ('received', 'leased')")
    .pluck()
    .get();
  expect(open).toBe(0);
  const known = new Set(
    database.prepare<[], string>('SELECT message_id FROM outbox WHERE message_id IS NOT NULL').pluck().all(),
  );
  database.close();

  // A message that people see but the ledger does not know is one whose send a kill kept from being recorded.
  const unrecorded = telegram.sent.filter(({ chatId, messageId }) => !known.has(`${chatId}:${messageId}`));
  expect(unrecorded.length).toBeLessThanOrEqual(kills.length);
  const recorded = telegram.sent.filter((message) => !unrecorded.includes(message) && !message.deleted);
  const answers = recorded.flatMap(({ text }) => answered(text));
  expect(answers.filter((n, index) => answers.indexOf(n) !== index)).toEqual([]);
  expect(answers.toSorted((a, b) => a - b)).toEqual(Array.from({ length: MESSAGES }, (_, n) => n));

  for (let one = 0; one < PEOPLE; one++) {
    const order = recorded
      .filter(({ chatId }) => chatId === person(one))
      .flatMap(({ text }) => answered(text));
    expect(order).toEqual(order.toSorted((a, b) => a - b));
    expect(order.every((n) => person(n) === person(one))).toBe(true);
  }
  process.stdout.write(
    `${MESSAGES} messages, ${kills.length} kills, ${unrecorded.length} unrecorded sends, ${recorded.length} replies\n`,
  );
}, 900_000);
