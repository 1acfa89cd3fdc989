/** The main job on real input: Telegram's protocol in front, a real language model behind, the built daemon between. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, symlinkSync } from 'node:fs';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { configure, type DaemonProcess, kimi, startDaemonProcess } from './support/daemon.ts';
import { realChatModel } from './support/models.ts';
import { startTelegram, type TelegramServer } from './support/telegram.ts';
import { temporaryFolder } from './support/temp.ts';
import { terminalUser } from './support/terminal.ts';
import { until } from './support/wait.ts';

const OWNER = 1_001;

describe.skipIf(realChatModel === undefined)('with the starter model', () => {
  let telegram: TelegramServer;
  let daemon: DaemonProcess;
  const home = temporaryFolder();

  async function restart(): Promise<void> {
    daemon = startDaemonProcess(home);
    await daemon.ready;
  }

  /** The last complete answer in a chat, once the bot has written `count` messages there. */
  const answer = (chat: number, matches: RegExp) => telegram.waitForText(chat, matches, 90_000);

  beforeAll(async () => {
    telegram = await startTelegram();
    const models = join(home, 'models');
    mkdirSync(models);
    symlinkSync(realChatModel ?? '', join(models, basename(realChatModel ?? '')));
    configure(home, {
      models: {
        providers: {
          ollama: { baseUrl: 'http://127.0.0.1:9' },
          embedded: { path: models, download: 'never' },
        },
      },
      channels: { telegram: { token: telegram.token, apiRoot: telegram.apiRoot } },
    });
    await restart();
  });

  afterAll(async () => {
    await daemon.end('SIGKILL');
    await telegram.close();
  });

  /** The processes that run models for the daemon. */
  function modelProcesses(): number[] {
    const list = execFileSync('ps', ['-A', '-o', 'pid=,ppid='], { encoding: 'utf8' });
    return list
      .trim()
      .split('\n')
      .map((line) => line.trim().split(/\s+/).map(Number))
      .filter(([, parent]) => parent === daemon.child.pid)
      .map(([pid]) => pid ?? 0);
  }

  test('a stranger is paired, and told that the capital of France is Paris', async () => {
    telegram.say(OWNER, 'What is the capital of France?');
    const { text } = await answer(OWNER, /kimi pair approve/);
    const code = /approve ([A-Z0-9]{8})/.exec(text)?.[1] ?? '';
    expect((await kimi(home, 'pair', 'approve', code)).stdout).toMatch(/is let in and is the owner/);
    await answer(OWNER, /You're in/);
    telegram.say(OWNER, 'What is the capital of France?');
    const reply = await answer(OWNER, /Paris/);
    expect(reply.text).toMatch(/kimi models pull recommended/);
  });

  test('the same at the terminal', async () => {
    expect((await kimi(home, 'chat', 'What is the capital of France?')).stdout).toMatch(/Paris/);
  });

  test('and again after kill -9', async () => {
    await daemon.end('SIGKILL');
    await restart();
    const before = telegram.sent.length;
    telegram.say(OWNER, 'What is the capital of France?');
    await telegram.waitFor(
      () => telegram.sent.slice(before).some(({ text }) => /Paris/.test(text)),
      'Paris',
      90_000,
    );
  });

  test('a long answer is seen to grow, and /stop ends it', async () => {
    telegram.say(OWNER, '/new');
    await answer(OWNER, /new conversation/i);
    const before = telegram.sent.length;
    telegram.say(OWNER, 'Write a very long story about a ship, with many chapters.');
    const growing = await telegram.waitFor(
      () => telegram.sent.slice(before).find(({ text }) => text.length > 40),
      'an answer that grows',
      90_000,
    );
    telegram.say(OWNER, '/stop');
    await telegram.waitFor(() => /Stopped\./.test(growing.text), 'the end of it', 90_000);
  });

  test('two conversations are answered at once', async () => {
    const [one, two] = await Promise.all([terminalUser(home, 'one'), terminalUser(home, 'two')]);
    await Promise.all([one.say('Tell me a story about the sea.'), two.say('Tell me a story about the sky.')]);
    const [endOfOne, endOfTwo] = await Promise.all(
      [one, two].map((user) => user.reply(({ final }) => final)),
    );
    const firstOf = (user: typeof one) => user.frames[0]?.seq ?? Number.POSITIVE_INFINITY;
    expect(firstOf(two)).toBeLessThan(endOfOne?.seq ?? 0);
    expect(firstOf(one)).toBeLessThan(endOfTwo?.seq ?? 0);
    expect(endOfOne?.text).not.toBe(endOfTwo?.text);
    one.leave();
    two.leave();
  });

  test('a conversation that outgrows the window goes on', async () => {
    const user = await terminalUser(home, 'long');
    const filler = 'The quick brown fox jumps over the lazy dog near the river bank. '.repeat(150);
    for (let n = 0; n < 4; n++) {
      const reply = await user.ask(`${filler}\n\nWhich animal jumps? Answer in one word.`);
      expect(reply).not.toMatch(/⚠️/);
    }
    await user.ask('/new');
    expect(await user.ask('What is the capital of France?')).toMatch(/Paris/);
    user.leave();
  });

  test('the death of its model process costs a turn at the most', async () => {
    const user = await terminalUser(home, 'death');
    await user.say('Write a very long story about a mountain.');
    await user.reply(({ text, final }) => !final && text.length > 40);
    const [victim] = await until('a model process', () => {
      const found = modelProcesses();
      return found.length > 0 ? found : undefined;
    });
    if (victim !== undefined) process.kill(victim, 'SIGKILL');
    const end = await user.reply(({ final }) => final);
    expect(end.text).toMatch(/⚠️/);
    expect(await user.ask('What is the capital of France?')).toMatch(/Paris/);
    user.leave();
  });

  test('SIGTERM ends it and its model process', async () => {
    const children = modelProcesses();
    expect(children.length).toBeGreaterThan(0);
    expect(await daemon.end('SIGTERM')).toBe(0);
    await until('no model process', () => children.every((pid) => !alive(pid)));
  });
});

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
