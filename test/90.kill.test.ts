/**
 * The kill test: 20 people send 200 messages on all platforms to the built daemon, while it is killed with SIGKILL at
 * random instants and at each named transition, and started again until all is answered. KIMI_FULL=1 runs it at full
 * size.
 */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import Sqlite from 'better-sqlite3';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { configure, type DaemonProcess, kimi, startDaemonProcess } from './support/daemon.ts';
import { type StandIn, startOllama } from './support/ollama.ts';
import { discordPlatform, type Platform, slackPlatform, telegramPlatform } from './support/platforms.ts';
import { temporaryFolder } from './support/temp.ts';
import { until } from './support/wait.ts';

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
let platforms: Platform[];
let daemon: DaemonProcess;
const home = temporaryFolder();

beforeAll(async () => {
  ollama = await startOllama();
  platforms = await Promise.all([telegramPlatform(), slackPlatform(), discordPlatform()]);
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
    channels: Object.fromEntries(platforms.map(({ name, config }) => [name, config])),
    access: { policy: 'open' },
  });
});

afterAll(async () => {
  await daemon.end('SIGKILL');
  await Promise.all(platforms.map((platform) => platform.close()));
  await ollama.close();
});

/** People are spread over the platforms; each has one of their own. */
const platformOf = (person: number) => platforms[person % platforms.length] as Platform;
const marker = (n: number) => `#${String(n).padStart(3, '0')}#`;
const numbers = Array.from({ length: MESSAGES }, (_, n) => n);

/** The numbers of the messages that a text answers, in the order in which it names them. */
const answered = (text: string) => [...text.matchAll(/#(\d{3})#/g)].map((match) => Number(match[1]));

/** Resolves when everybody sees what they wait for. */
async function everybody(what: string, missing: () => unknown[]): Promise<void> {
  for (const platform of platforms) {
    await platform
      .waitFor(() => missing().length === 0 || undefined, what, 180_000)
      .catch((error: Error) => {
        throw new Error(`${error.message}; missing ${missing()}; the daemon said ${daemon.stderr()}`);
      });
    if (missing().length === 0) return;
  }
}

test(`${MESSAGES} messages, ${RANDOM_KILLS + TRANSITIONS.length} kills: nothing lost, nothing answered twice but where a send went unrecorded`, async () => {
  // Discord hands nobody the first message of a direct chat that began while no session was there.
  daemon = startDaemonProcess(home);
  await daemon.ready;
  await until('all platforms are connected', async () => {
    const { stdout } = await kimi(home, 'status', '--json');
    return (stdout.match(/"state": "connected"/g) ?? []).length === platforms.length + 1;
  });
  for (let person = 0; person < PEOPLE; person++) platformOf(person).say(person, 'hello');
  const greeted = new Set<string>();
  await everybody('everybody is greeted', () => {
    for (const platform of platforms)
      for (const { room } of platform.seen()) greeted.add(`${platform.name} ${room}`);
    return Array.from({ length: PEOPLE - greeted.size });
  });
  await daemon.end('SIGKILL');

  let said = 0;
  const sayNext = () => {
    if (said >= MESSAGES) return;
    platformOf(said % PEOPLE).say(said % PEOPLE, `Please answer ${marker(said)}`);
    said++;
  };
  const kills = [...TRANSITIONS, ...Array.from({ length: RANDOM_KILLS }, () => undefined)];
  for (const transition of kills) {
    daemon = startDaemonProcess(home, transition ? { KIMI_KILL_AT: transition } : {});
    await Promise.race([daemon.ready, daemon.exited]).catch(() => {});
    for (let n = 0; n < Math.ceil(MESSAGES / kills.length); n++) sayNext();
    // A transition that is not reached any more (all is answered) is a kill at a random instant.
    const patience = AbortSignal.timeout(transition ? 4_000 : Math.floor(Math.random() * 900));
    await Promise.race([
      daemon.exited,
      new Promise((resolve) => patience.addEventListener('abort', resolve)),
    ]);
    await daemon.end('SIGKILL');
  }
  while (said < MESSAGES) sayNext();

  daemon = startDaemonProcess(home);
  await daemon.ready;
  await everybody('every message is answered', () => {
    const there = new Set(
      platforms.flatMap((platform) => platform.seen().flatMap(({ text }) => answered(text))),
    );
    return numbers.filter((n) => !there.has(n));
  });
  expect(await daemon.end('SIGTERM')).toBe(0);

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
  const seen = platforms.flatMap((platform) =>
    platform.seen().map((one) => ({ ...one, platform: platform.name })),
  );
  const unrecorded = seen.filter(({ id }) => !known.has(id));
  // A kill finds at most one send under way in each room, and any number of rooms.
  for (const { platform: name, room } of unrecorded) {
    const inRoom = unrecorded.filter((one) => one.platform === name && one.room === room);
    expect(inRoom.length).toBeLessThanOrEqual(kills.length);
  }
  expect(unrecorded.filter(({ platform }) => platform === 'discord')).toEqual([]);

  const recorded = seen.filter(({ id }) => known.has(id));
  const answers = recorded.flatMap(({ text }) => answered(text));
  expect(answers.filter((n, index) => answers.indexOf(n) !== index)).toEqual([]);
  expect(answers.toSorted((a, b) => a - b)).toEqual(numbers);
  for (let person = 0; person < PEOPLE; person++) {
    const room = platformOf(person).room(person);
    const order = recorded.filter((one) => one.room === room).flatMap(({ text }) => answered(text));
    expect(order).toEqual(numbers.filter((n) => n % PEOPLE === person));
  }
  process.stdout.write(
    `${MESSAGES} messages, ${kills.length} kills, ${unrecorded.length} unrecorded sends, ${recorded.length} replies\n`,
  );
}, 900_000);
