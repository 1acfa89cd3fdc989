/** Read this one first: what happens to a message, seen from outside, with the built daemon. */
import { chmodSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { connectDaemon } from '../src/cli/client.ts';
import type { TerminalFrame } from '../src/control.ts';
import { configure, type DaemonProcess, kimi, startDaemonProcess } from './support/daemon.ts';
import { type StandIn, startOllama } from './support/ollama.ts';
import { temporaryFolder } from './support/temp.ts';
import { terminalUser } from './support/terminal.ts';
import { until } from './support/wait.ts';

let ollama: StandIn;
let home: string;
const daemons: DaemonProcess[] = [];

async function start(env: Record<string, string> = {}): Promise<DaemonProcess> {
  const daemon = startDaemonProcess(home, env);
  daemons.push(daemon);
  await daemon.ready;
  return daemon;
}

const config = (more: object = {}) => ({
  models: { providers: { ollama: { baseUrl: ollama.url }, embedded: { download: 'never' } } },
  ...more,
});

beforeEach(async () => {
  ollama = await startOllama();
  home = temporaryFolder();
  configure(home, config());
});

afterEach(async () => {
  await Promise.all(daemons.splice(0).map((daemon) => daemon.end('SIGKILL')));
  await ollama.close();
});

/** The texts of the messages that the model was sent, by role, in its n-th request (from the end). */
function sent(nth = -1): string[] {
  return (ollama.chats().at(nth)?.messages ?? []).map(({ role, content }) => `${role}: ${content}`);
}

test('a message is answered by the model, and the conversation is there after kill -9', async () => {
  const first = await start();
  const before = await terminalUser(home);
  expect(await before.ask('My name is Ada.')).toBe('You said: My name is Ada.');
  await first.end('SIGKILL');

  await start();
  const after = await terminalUser(home);
  expect(await after.ask('What is my name?')).toBe('You said: What is my name?');
  expect(sent().slice(1)).toEqual([
    'user: My name is Ada.',
    'assistant: You said: My name is Ada.',
    'user: What is my name?',
  ]);
  expect(await after.ask('/new')).toMatch(/new conversation/i);
  await after.ask('And now?');
  expect(sent().slice(1)).toEqual(['user: And now?']);
});

test('a home that is new gets a folder of its own, a commented config and a database', async () => {
  home = join(temporaryFolder(), 'new', 'home');
  const daemon = startDaemonProcess(home, { TELEGRAM_BOT_TOKEN: '' });
  daemons.push(daemon);
  await daemon.ready;
  expect(statSync(home).mode & 0o777).toBe(0o700);
  expect(statSync(join(home, 'config.yaml')).mode & 0o777).toBe(0o600);
  expect(readFileSync(join(home, 'config.yaml'), 'utf8')).toMatch(/^# /);
  await until('the lines at the start', () => daemon.stdout().includes('npx kimi chat'));
  expect(daemon.stdout()).toMatch(/telegram +off: .*TELEGRAM_BOT_TOKEN/);
  expect(daemon.stdout()).toContain(join(home, 'config.yaml'));
});

test('an answer grows before it is complete, and /stop ends it', async () => {
  await start();
  let go = () => {};
  const gate = new Promise<void>((resolve) => {
    go = resolve;
  });
  ollama.replies.push({
    text: ['One', ', two', ', three'],
    before: async (index) => void (index === 2 && (await gate)),
  });
  const user = await terminalUser(home);
  await user.say('Count.');
  const half = await user.reply(({ text }) => text === 'One, two');
  expect(half.final).toBe(false);
  await user.say('/stop');
  const end = await user.reply((frame) => frame.id === half.id && frame.final);
  expect(end.text).toBe('One, two\n\n_Stopped._');
  go();
  expect(await user.ask('Again.')).toBe('You said: Again.');
});

test('what is written while a turn runs is answered together in the next', async () => {
  await start();
  let go = () => {};
  const gate = new Promise<void>((resolve) => {
    go = resolve;
  });
  ollama.replies.push({ text: 'first', before: () => gate });
  const user = await terminalUser(home);
  await user.say('a');
  await ollama.arrival('/api/chat');
  await user.say('b');
  await user.say('c');
  go();
  await user.reply(({ text, final }) => final && text === 'You said: b\n\nc');
  expect(ollama.chats()).toHaveLength(2);
});

test('conversations are answered at the same time', async () => {
  await start();
  let go = () => {};
  const gate = new Promise<void>((resolve) => {
    go = resolve;
  });
  ollama.replies.push({ text: 'slow', before: () => gate });
  const [slow, quick] = await Promise.all([terminalUser(home, 'slow'), terminalUser(home, 'quick')]);
  await slow.say('wait');
  await ollama.arrival('/api/chat');
  expect(await quick.ask('hello')).toBe('You said: hello');
  go();
  await slow.reply(({ text, final }) => final && text === 'slow');
});

test('SIGTERM gives a running turn back, and the next start answers it', async () => {
  const daemon = await start();
  ollama.replies.push({ text: 'never', before: () => new Promise(() => {}) });
  const user = await terminalUser(home);
  await user.say('keep this');
  await ollama.arrival('/api/chat');
  expect(await daemon.end('SIGTERM')).toBe(0);
  await start();
  const later = await terminalUser(home);
  await later.reply(({ text, final }) => final && text === 'You said: keep this');
});

test('a reply for which nobody is there waits for the next `kimi chat`', async () => {
  await start();
  let go = () => {};
  const gate = new Promise<void>((resolve) => {
    go = resolve;
  });
  ollama.replies.push({ text: 'late', before: () => gate });
  const user = await terminalUser(home);
  await user.say('question');
  await ollama.arrival('/api/chat');
  user.leave();
  go();
  await until('the turn is answered', async () =>
    (await kimi(home, 'status', '--json')).stdout.includes('"answered": 1'),
  );
  const back = await terminalUser(home);
  expect((await back.reply(({ final }) => final)).text).toBe('late');
});

/** A `kimi chat` that was suspended: it is connected, and shows nothing. Resolves when a reply has reached it. */
async function suspendedUser(text: string): Promise<void> {
  const client = await connectDaemon(home);
  if (!client) throw new Error('no daemon');
  const replied = new Promise<void>((resolve) => {
    client
      .call('chat.open', {}, (event) => {
        if ((event as TerminalFrame).type === 'reply') resolve();
      })
      .catch(() => {});
  });
  await client.call('chat.say', { text });
  await replied;
}

test('a terminal that shows nothing keeps nobody else from the answer, and the daemon from no end', async () => {
  const daemon = await start();
  await suspendedUser('one');
  const user = await terminalUser(home);
  expect(await user.ask('two')).toBe('You said: two');
  expect(user.frames.some(({ text, final }) => final && text === 'You said: one')).toBe(true);
  user.leave();
  await suspendedUser('three');
  expect((await kimi(home, 'stop')).stdout).toMatch(/stopped/);
  expect(await daemon.exited).toBe(0);
});

test('a model that fails is said plainly, and the next message is answered', async () => {
  await start();
  const user = await terminalUser(home);
  ollama.replies.push({ trouble: 'status', status: 500, error: 'out of memory' });
  expect(await user.ask('one')).toMatch(/⚠️.*out of memory/s);
  expect(await user.ask('two')).toBe('You said: two');
});

test('without any model it runs, says so, and names the command that gets one', async () => {
  ollama.models = [];
  await start();
  const user = await terminalUser(home);
  expect(await user.ask('hello')).toMatch(/no model.*kimi models pull recommended/s);
  expect((await kimi(home, 'status')).stdout).toMatch(/model +none: .*kimi models pull recommended/);
});

describe('the daemon', () => {
  test('runs once a home', async () => {
    await start();
    const second = startDaemonProcess(home);
    daemons.push(second);
    expect(await second.exited).toBe(1);
    expect(second.stderr()).toMatch(/running already/);
  });

  test('takes a new configuration over, and keeps the last good one', async () => {
    await start();
    const user = await terminalUser(home);
    configure(home, config({ assistant: { name: 'Hal' } }));
    await until('the new name', async () => (await user.ask('/start')).includes("I'm Hal"));
    writeFileSync(join(home, 'config.yaml'), 'assistant: { nmae: Eve }\n');
    await until('the error in the status', async () =>
      /config\.yaml:1.*nmae.*name/s.test((await kimi(home, 'status')).stdout),
    );
    expect(await user.ask('/start')).toContain("I'm Hal");
  });

  test('ends on `kimi stop`, with status 0', async () => {
    const daemon = await start();
    expect((await kimi(home, 'stop')).stdout).toMatch(/stopped/);
    expect(await daemon.exited).toBe(0);
    expect((await kimi(home, 'status')).status).toBe(3);
    expect((await kimi(home, 'chat', 'hello')).stderr).toMatch(/not running.*kimi start/s);
  });

  test('refuses what is no request on its socket, and lives', async () => {
    await start();
    const { connect } = await import('node:net');
    for (const garbage of [
      '{',
      'null\n',
      '[]\n',
      '{"id":"x"}\n',
      '{"id":1,"method":"__proto__"}\n',
      '\u0000\n',
    ]) {
      const socket = connect(join(home, 'kimi.sock'));
      socket.on('error', () => {}).resume();
      socket.end(garbage);
      await new Promise((resolve) => socket.once('close', resolve));
    }
    expect(statSync(join(home, 'kimi.sock')).mode & 0o777).toBe(0o600);
    expect(await (await terminalUser(home)).ask('still there?')).toBe('You said: still there?');
  });
});

test('the log holds no secret and no message, and the ledger no text of what was answered', async () => {
  const token = '123456:PLANTED-secret-token-value';
  writeFileSync(join(home, 'token'), `${token}\n`);
  chmodSync(join(home, 'token'), 0o600);
  configure(
    home,
    config({
      channels: { telegram: { token: 'file:token', apiRoot: 'http://127.0.0.1:9' } },
      log: { level: 'debug' },
    }),
  );
  const daemon = await start();
  const user = await terminalUser(home);
  ollama.replies.push({ trouble: 'garbage' });
  await user.ask('PLANTED-message-text');
  await user.ask('PLANTED-second-text');
  await until('a failed connection', async () => (await kimi(home, 'status')).stdout.includes('last error'));
  const { stdout } = await kimi(home, 'status', '--json');
  await daemon.end('SIGTERM');
  for (const text of [daemon.stdout(), daemon.stderr(), stdout]) expect(text).not.toMatch(/PLANTED/);
});
