/** `npm run bench`: the built daemon between a Bot API and an instant model server, both on loopback. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { configure, type DaemonProcess, KIMI, startDaemonProcess } from '../test/support/daemon.ts';
import { startOllama } from '../test/support/ollama.ts';
import { startTelegram } from '../test/support/telegram.ts';
import { residentBytes } from './resident.ts';
import { starterRows } from './starter.ts';
import { megabytes, ms, percentile, printTable, type Row } from './table.ts';

const STARTS = 7;
const MESSAGES = 150;
const CROWD = 300;
/** Telegram takes 30 writes a second; measured one by one, messages come more slowly than that. */
const BETWEEN_MS = 45;

const ollama = await startOllama();
const telegram = await startTelegram();
const home = mkdtempSync(join(tmpdir(), 'kimi-bench-'));
configure(home, {
  models: {
    providers: { ollama: { baseUrl: ollama.url }, embedded: { download: 'never' } },
    concurrency: 64,
  },
  channels: { telegram: { token: telegram.token, apiRoot: telegram.apiRoot } },
  access: { policy: 'open' },
});

/** When the model was asked, by the number in the message. */
const asked = new Map<number, number>();
ollama.reply = (body) => {
  const text = body.messages.at(-1)?.content ?? '';
  const number = Number(/#(\d+)/.exec(text)?.[1]);
  asked.set(number, performance.now());
  return { text: `pong #${number}` };
};

async function start(): Promise<{ daemon: DaemonProcess; tookMs: number }> {
  const began = performance.now();
  const daemon = startDaemonProcess(home);
  await daemon.ready;
  return { daemon, tookMs: performance.now() - began };
}

const rows: Row[] = [];
try {
  const starts: number[] = [];
  for (let n = 0; n < STARTS; n++) {
    const { daemon, tookMs } = await start();
    starts.push(tookMs);
    await daemon.end('SIGTERM');
  }
  rows.push({
    what: `start to ready, median of ${STARTS}`,
    figure: ms(percentile(starts, 0.5)),
    goal: '≤ 700 ms',
  });

  const { daemon } = await start();
  const { pid = 0 } = daemon.child;
  await telegram.waitFor(() => telegram.open > 0, 'a poll');
  await sleep(3_000);
  rows.push({
    what: 'idle RSS, Telegram on, no model loaded',
    figure: megabytes(residentBytes(pid)),
    goal: '≤ 100 MB',
  });

  const toModel: number[] = [];
  const toReply: number[] = [];
  for (let n = 0; n < MESSAGES; n++) {
    const said = performance.now();
    telegram.say(10_000 + n, `ping #${n}`);
    await telegram.waitFor(() => telegram.sent.some(({ text }) => text === `pong #${n}`));
    toReply.push(performance.now() - said);
    toModel.push((asked.get(n) ?? Number.NaN) - said);
    await sleep(BETWEEN_MS);
  }
  rows.push(
    {
      what: `message in → model asked, p50 of ${MESSAGES}`,
      figure: ms(percentile(toModel, 0.5)),
      goal: '≤ 8 ms',
    },
    { what: 'message in → model asked, p99', figure: ms(percentile(toModel, 0.99)) },
    { what: 'message in → reply out, p50', figure: ms(percentile(toReply, 0.5)), goal: '≤ 15 ms' },
    { what: 'message in → reply out, p99', figure: ms(percentile(toReply, 0.99)) },
  );

  const ping = JSON.stringify(ollama.chats().at(0));
  rows.push({
    what: 'prompt for "ping", the whole request',
    figure: `${Buffer.byteLength(ping)} bytes`,
    goal: '≤ 6 kB',
  });

  const began = performance.now();
  for (let n = 0; n < CROWD; n++) telegram.say(20_000 + n, `ping #${1_000 + n}`);
  const replies = () =>
    new Set(telegram.sent.filter(({ chatId }) => chatId >= 20_000).map(({ chatId }) => chatId)).size;
  await telegram.waitFor(() => replies() === CROWD, `${CROWD} replies`, 120_000);
  const tookMs = performance.now() - began;
  const lastAsked =
    Math.max(...Array.from({ length: CROWD }, (_, n) => asked.get(1_000 + n) ?? Number.NaN)) - began;
  rows.push(
    { what: `${CROWD} people at once: model asked for all after`, figure: ms(lastAsked), goal: '' },
    {
      what: `${CROWD} people at once: messages taken and answered`,
      figure: `${Math.round((CROWD / lastAsked) * 1_000)}/s`,
    },
    {
      what: `${CROWD} people at once: delivered (Telegram takes 30/s)`,
      figure: `${replies()} in ${(tookMs / 1_000).toFixed(1)} s`,
      goal: 'all',
    },
    { what: 'RSS after all that', figure: megabytes(residentBytes(pid)) },
  );
  await daemon.end('SIGTERM');

  const versions = Array.from({ length: 10 }, () => {
    const before = performance.now();
    spawnSync(process.execPath, [KIMI, '--version']);
    return performance.now() - before;
  });
  rows.push({
    what: 'kimi --version, median of 10',
    figure: ms(percentile(versions, 0.5)),
    goal: '≤ 100 ms',
  });
  const root = fileURLToPath(new URL('..', import.meta.url));
  const installed = execFileSync('du', ['-sk', join(root, 'node_modules'), join(root, 'dist')], {
    encoding: 'utf8',
  });
  const kilobytes = installed.split('\n').reduce((sum, line) => sum + (Number.parseInt(line, 10) || 0), 0);
  rows.push({ what: 'installed, with what developing needs', figure: megabytes(kilobytes * 1_024) });
  printTable('The daemon, with an instant model', rows);
  printTable('The starter model', await starterRows());
} finally {
  await telegram.close();
  await ollama.close();
  rmSync(home, { recursive: true, force: true });
}
