/** What a person can see and decide about themselves, at the terminal of the built daemon. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openStore } from '../src/memory/store.ts';
import { createAccountSkill } from '../src/skills/account.ts';
import type { Turn } from '../src/skills/skill.ts';
import { configure, type DaemonProcess, kimi, startDaemonProcess } from './support/daemon.ts';
import { type StandIn, startOllama } from './support/ollama.ts';
import { temporaryFolder } from './support/temp.ts';
import { terminalUser } from './support/terminal.ts';

let ollama: StandIn;
let daemon: DaemonProcess;
let home: string;

beforeEach(async () => {
  ollama = await startOllama();
  home = temporaryFolder();
  configure(home, {
    models: { providers: { ollama: { baseUrl: ollama.url }, embedded: { download: 'never' } } },
  });
  daemon = startDaemonProcess(home);
  await daemon.ready;
});

afterEach(async () => {
  await daemon.end('SIGKILL');
  await ollama.close();
});

test('/privacy counts what is stored, /whoami names the accounts', async () => {
  const user = await terminalUser(home);
  await user.ask('hello');
  expect(await user.ask('/privacy')).toMatch(/1 of your conversations, with 2 messages/);
  expect(await user.ask('/whoami')).toMatch(/my owner.*terminal:/s);
});

test('/link shows no code where others read along', async () => {
  const store = openStore(join(temporaryFolder(), 'kimi.db'));
  const ada = store.people.ensure('telegram', { id: '1', name: 'Ada' }, 'member', 0);
  const skill = createAccountSkill({ store, home, stop: () => {}, removeFiles: async () => {} });
  const said = async (group: boolean) => {
    const turn: Turn = {
      ...{ id: 'in:1', conversation: { channel: 'telegram', account: '7', chat: '1' }, key: 'telegram/7/1' },
      ...{ sender: { id: '1', name: 'Ada' }, group, person: ada, text: '/link', attachments: [] },
      command: { name: 'link', args: '' },
      signal: new AbortController().signal,
      ask: async () => undefined,
    };
    for await (const event of skill.run(turn)) if (event.type === 'text') return event.delta;
    return '';
  };
  expect(await said(false)).toMatch(/`\/link [A-Z0-9]{8}`/);
  expect(await said(true)).toMatch(/direct chat/);
  store.close();
});

test('/forget asks first, and deletes the conversation', async () => {
  const user = await terminalUser(home);
  await user.ask('UNFORGOTTEN');
  await user.say('/forget');
  const question = await user.reply(({ options }) => options !== undefined);
  expect(question.options).toEqual(['Delete', 'Keep']);
  await user.say('keep');
  await user.reply(({ text }) => text === 'Nothing was deleted.');
  await user.say('/forget');
  await user.reply(({ id, options }) => id !== question.id && options !== undefined);
  await user.say('Delete');
  await user.reply(({ text }) => text === 'This conversation is deleted.');
  await daemon.end('SIGTERM');
  expect(readFileSync(join(home, 'kimi.db'), 'latin1')).not.toMatch(/UNFORGOTTEN/);
});

test('/forget everything leaves no byte of what was said', async () => {
  for (const conversation of ['one', 'two']) {
    const user = await terminalUser(home, conversation);
    await user.ask(`UNFORGOTTEN ${conversation}`);
    user.leave();
  }
  const user = await terminalUser(home, 'three');
  await user.say('/forget everything');
  expect((await user.reply(({ options }) => options !== undefined)).text).toMatch(/3 conversations/);
  await user.say('delete');
  await user.reply(({ text }) => text.startsWith('All that was stored'));
  await daemon.end('SIGTERM');
  expect(readFileSync(join(home, 'kimi.db'), 'latin1')).not.toMatch(/UNFORGOTTEN/);
});

/** What the files of the home still hold once the daemon has ended. */
async function leftovers(): Promise<string> {
  await daemon.end('SIGTERM');
  return readFileSync(join(home, 'kimi.db'), 'latin1');
}

test('/forget everything ends what runs, waits or is asked in their other conversations', async () => {
  const running = await terminalUser(home, 'running');
  let go = () => {};
  const gate = new Promise<void>((resolve) => {
    go = resolve;
  });
  ollama.replies.push({
    text: ['UNFORGOTTEN', ' answer'],
    before: async (n) => void (n === 1 && (await gate)),
  });
  await running.say('UNFORGOTTEN question');
  await running.reply(({ text }) => text === 'UNFORGOTTEN');
  await running.say('UNFORGOTTEN too');
  const asking = await terminalUser(home, 'asking');
  await asking.say('/forget');
  await asking.reply(({ options }) => options !== undefined);

  const user = await terminalUser(home, 'here');
  await user.say('/forget everything');
  await user.reply(({ options }) => options !== undefined);
  await user.say('delete');
  await user.reply(({ text }) => text.startsWith('All that was stored'));
  go();
  expect(await asking.ask('still there?')).toBe('You said: still there?');
  expect(await running.ask('and you?')).toBe('You said: and you?');
  expect(ollama.chats()).toHaveLength(3);
  expect(await leftovers()).not.toMatch(/UNFORGOTTEN/);
  expect(daemon.stderr()).not.toMatch(/could not be recorded|FOREIGN KEY/);
});

test('/forget everything covers conversations of commands alone, and what came after it was asked', async () => {
  const commands = await terminalUser(home, 'commands');
  expect(await commands.ask('/whoami')).toMatch(/my owner/);
  const user = await terminalUser(home, 'here');
  await user.say('/forget everything');
  await user.reply(({ options }) => options !== undefined);
  const later = await terminalUser(home, 'later');
  await later.ask('UNFORGOTTEN');
  await user.say('delete');
  await user.reply(({ text }) => text.startsWith('All that was stored'));
  expect(await leftovers()).not.toMatch(/UNFORGOTTEN|You are my owner/);
});

test('a question to `kimi chat "…"` is shown with how to answer it', async () => {
  const asked = await kimi(home, 'chat', '/forget');
  expect(asked.stdout).toMatch(/Delete this conversation.*\[Delete \/ Keep\].*kimi chat "Delete" or "Keep"/s);
  await kimi(home, 'chat', 'Keep');
  expect((await kimi(home, 'chat', 'hello')).stdout).toBe('You said: hello\n');
});
