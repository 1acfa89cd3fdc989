/** `kimi dead`: messages that could not be answered or delivered. */
import type { DeadLetter } from '../memory/inbox.ts';
import { operate } from './operate.ts';

export async function run([action, box, id]: string[]): Promise<number> {
  if (action === 'retry' && (box === 'inbox' || box === 'outbox') && id) {
    const { retried } = await operate<{ retried: boolean }>('dead.retry', { box, id });
    console.log(
      retried
        ? `${box} ${id} is tried again.`
        : `There is no dead letter ${box} ${id}. \`kimi dead\` lists them.`,
    );
    return retried ? 0 : 1;
  }
  if (action !== undefined && action !== 'list') {
    console.error('Use: kimi dead [list] | kimi dead retry inbox|outbox ID');
    return 2;
  }
  const letters = await operate<DeadLetter[]>('dead.list');
  if (letters.length === 0) console.log('There are none.');
  for (const { box: where, id: number, conversation, error, at } of letters) {
    console.log(`${where} ${number}  ${new Date(at).toISOString()}  ${conversation}  ${error}`);
  }
  if (letters.length > 0) console.log('\nTry one again: kimi dead retry inbox|outbox ID');
  return 0;
}
