/** What people do in a chat besides writing, on Telegram with the built daemon: buttons, files, signs of work. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createTelegram } from '../src/adapters/telegram.ts';
import { configure, type DaemonProcess, startDaemonProcess } from './support/daemon.ts';
import { type StandIn, startOllama } from './support/ollama.ts';
import { startTelegram, type TelegramServer } from './support/telegram.ts';
import { temporaryFolder } from './support/temp.ts';

const ADA = 1_001;
const PNG = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==',
  'base64',
);

let ollama: StandIn;
let telegram: TelegramServer;
let daemon: DaemonProcess;
let home: string;

beforeEach(async () => {
  ollama = await startOllama([{ name: 'llava:7b', capabilities: ['completion', 'vision'] }]);
  telegram = await startTelegram();
  home = temporaryFolder();
  configure(home, {
    models: { providers: { ollama: { baseUrl: ollama.url }, embedded: { download: 'never' } } },
    channels: { telegram: { token: telegram.token, apiRoot: telegram.apiRoot }, maxFileMegabytes: 1 },
    access: { policy: 'open' },
  });
  daemon = startDaemonProcess(home);
  await daemon.ready;
});

afterEach(async () => {
  await daemon.end('SIGKILL');
  await telegram.close();
  await ollama.close();
});

test('a question is asked with buttons, answered by a press of who was asked alone', async () => {
  telegram.say(ADA, '/forget');
  const question = await telegram.waitForText(ADA, /Delete this conversation/);
  expect(question.buttons.map(({ label }) => label)).toEqual(['Delete', 'Keep']);
  const stranger = telegram.press(2_002, question, 'Delete');
  await telegram.waitFor(() => telegram.answeredPresses.includes(stranger));
  expect(question.buttons).toHaveLength(2);
  const press = telegram.press(ADA, question, 'Keep');
  await telegram.waitForText(ADA, /Nothing was deleted/);
  await telegram.waitFor(() => telegram.answeredPresses.includes(press));
  await telegram.waitFor(() => question.buttons.length === 0);
  expect(question.text).toMatch(/→ Keep$/);
});

test('/status tells a member nothing of the machine', async () => {
  telegram.say(ADA, '/status');
  const { text } = await telegram.waitForText(ADA, /I am up, and answer with/);
  expect(text).not.toContain(home);
});

test('a picture goes to a model that sees, a document as text, and both are kept on disk', async () => {
  const photo = telegram.offer(PNG);
  const notes = telegram.offer(Buffer.from('The code word is heron.'));
  telegram.say(ADA, '', {
    more: {
      text: undefined,
      caption: 'What is this?',
      photo: [{ file_id: photo, file_size: PNG.length, width: 1, height: 1 }],
    },
  });
  await telegram.waitForText(ADA, /You said: What is this\?/);
  expect(ollama.chats().at(-1)?.messages.at(-1)?.images).toEqual([PNG.toString('base64')]);
  telegram.say(ADA, '', {
    more: {
      text: undefined,
      caption: 'Read it.',
      document: { file_id: notes, file_name: '../notes.txt', file_size: 23 },
    },
  });
  await telegram.waitForText(ADA, /heron/);
  const kept = readdirSync(join(home, 'attachments'), { recursive: true, encoding: 'utf8' });
  expect(kept.filter((name) => /\/0-(photo\.jpg|notes\.txt)$/.test(name))).toHaveLength(2);
});

test('a file that is too big, or gone, is said to be so', async () => {
  const large = telegram.offer(Buffer.alloc(1_500_000, 'x'));
  const attach = (file_id: string, file_size: number) =>
    telegram.say(ADA, '', {
      more: { text: undefined, caption: 'Look.', document: { file_id, file_name: 'a.bin', file_size } },
    });
  attach(large, 1_500_000);
  await telegram.waitForText(ADA, /a\.bin.*too big: send at most 1\.0 MB/);
  // Telegram does not always say the size beforehand.
  attach(large, 0);
  await telegram.waitFor(() => telegram.sent.filter(({ text }) => /too big/.test(text)).length === 2);
  attach('nowhere', 10);
  await telegram.waitForText(ADA, /does not hand over a\.bin.*Send it again/);
});

test('work that takes long shows a sign on the message, taken back with the answer', async () => {
  let go = () => {};
  const gate = new Promise<void>((resolve) => {
    go = resolve;
  });
  ollama.replies.push({ text: 'at last', before: () => gate });
  const { messageId } = telegram.say(ADA, 'something hard');
  const sign = () => telegram.reactions.get(`${ADA}:${messageId}`);
  await telegram.waitFor(() => sign()?.includes('👀'), 'a sign');
  go();
  await telegram.waitForText(ADA, /at last/);
  await telegram.waitFor(() => sign()?.length === 0, 'no sign');
});

test('files are sent as what they are', async () => {
  const { writeFileSync } = await import('node:fs');
  const adapter = createTelegram({ token: telegram.token, apiRoot: telegram.apiRoot });
  telegram.say(ADA, 'hello');
  await telegram.waitForText(ADA, /hello/);
  const send = async (
    name: string,
    bytes: Buffer,
    kind: 'image' | 'audio' | 'document',
    mediaType: string,
  ) => {
    const path = join(home, name);
    writeFileSync(path, bytes);
    const conversation = { channel: 'telegram', account: String(telegram.bot.id), chat: String(ADA) };
    const file = { kind, name, mediaType, bytes: bytes.length, source: { path } };
    await adapter.send(
      { conversation, idempotencyKey: name, text: '', file, final: true },
      new AbortController().signal,
    );
    return telegram.sent.at(-1)?.file;
  };
  expect(await send('a.png', PNG, 'image', 'image/png')).toMatchObject({ as: 'photo', name: 'a.png' });
  expect(await send('b.png', Buffer.from('no picture'), 'image', 'image/png')).toMatchObject({
    as: 'document',
  });
  expect(await send('c.ogg', Buffer.from('OggS'), 'audio', 'audio/ogg')).toMatchObject({ as: 'voice' });
  const sent = await send('d.txt', Buffer.from('words'), 'document', 'text/plain');
  expect(Buffer.from(sent?.bytes ?? []).toString()).toBe('words');
});
