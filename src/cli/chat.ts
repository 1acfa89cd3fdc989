/** `kimi chat`: a conversation with the running daemon, streaming. */
import { createInterface } from 'node:readline/promises';
import { text as readAll } from 'node:stream/consumers';
import type { TerminalFrame } from '../control.ts';
import { type Client, requireDaemon } from './client.ts';
import { createScreen } from './screen.ts';

export async function run(args: string[]): Promise<number> {
  const question =
    args.length > 0 ? args.join(' ') : process.stdin.isTTY ? undefined : await readAll(process.stdin);
  const client = await requireDaemon();
  try {
    return question === undefined ? await converse(client) : await askOnce(client, question);
  } finally {
    client.close();
  }
}

/** Asks one question, prints its answer, and ends. */
async function askOnce(client: Client, question: string): Promise<number> {
  if (question.trim() === '') {
    console.error('There is no question. Write one: kimi chat "What is the capital of France?"');
    return 2;
  }
  const screen = createScreen(process.stdout);
  let mine = '';
  let settled = false;
  const answered = new Promise<string[] | undefined>((resolve) => {
    const onFrame = (event: unknown) => {
      const frame = event as TerminalFrame;
      if (frame.type === 'received') mine ||= frame.messageId;
      if (frame.type !== 'reply') return;
      const shown = client.call('chat.shown', { seq: frame.seq });
      const isQuestion = frame.id.startsWith('ask:');
      // Ours was the answer to a question: what comes next is what the question was asked for.
      if (isQuestion && !frame.options && mine !== '') settled = true;
      const isOurs = isQuestion
        ? frame.options !== undefined
        : settled || Number(frame.answers ?? 0) >= Number(mine);
      if (mine !== '' && isOurs) {
        screen.show(frame);
        if (frame.final)
          shown.then(
            () => resolve(frame.options),
            () => {},
          );
      } else if (frame.final && !isQuestion) {
        // It waited for somebody to come by; standard output is for the answer to what was asked now.
        console.error(`(from before) ${frame.text}`);
      }
    };
    client.call('chat.open', {}, onFrame).catch(() => {});
  });
  const stop = () => void client.call('chat.say', { text: '/stop' }).finally(() => process.exit(130));
  process.once('SIGINT', stop);
  await client.call('chat.say', { text: question });
  const outcome = await Promise.race([answered.then((options) => ({ options })), client.closed]);
  process.removeListener('SIGINT', stop);
  if (outcome?.options)
    console.log(`\nAnswer within five minutes: kimi chat ${outcome.options.map(quoted).join(' or ')}`);
  if (outcome) return 0;
  console.error(
    '\nKimi stopped before it had answered. Your message is kept and will be answered when it runs again.',
  );
  return 1;
}

/** Talks until the input ends. */
export async function converse(client: Client): Promise<number> {
  const screen = createScreen(process.stdout);
  const input = createInterface({ input: process.stdin, output: process.stdout, prompt: '› ' });
  let writing = false;
  client
    .call('chat.open', {}, (event) => {
      const frame = event as TerminalFrame;
      if (frame.type === 'received') return;
      if (frame.type === 'reply') {
        writing = !frame.final;
        screen.show(frame);
        client.call('chat.shown', { seq: frame.seq }).catch(() => {});
        if (frame.final) input.prompt();
      }
    })
    .catch(() => {});
  input.on('SIGINT', () => {
    if (writing) void client.call('chat.say', { text: '/stop' });
    else input.close();
  });
  input.on('line', (line) => {
    if (line.trim() === '') return input.prompt();
    client.call('chat.say', { text: line }).catch((error: Error) => console.error(error.message));
  });
  console.log('Write, then Enter. /help lists commands, Ctrl-C ends an answer, Ctrl-D leaves.\n');
  input.prompt();
  const ended = new Promise<'left'>((resolve) => input.once('close', () => resolve('left')));
  const outcome = await Promise.race([ended, client.closed.then(() => 'closed' as const)]);
  input.close();
  if (outcome === 'left') return 0;
  console.error('\nKimi stopped. What you wrote is kept; start it again with `kimi start`.');
  return 1;
}

const quoted = (text: string) => `"${text}"`;
