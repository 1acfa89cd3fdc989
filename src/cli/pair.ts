/** `kimi pair`: who waits to be let in, and letting them in. */
import { operate } from './operate.ts';

interface Pending {
  code: string;
  channel: string;
  userId: string;
  name: string;
  expiresAt: number;
}

export async function run([action, code]: string[]): Promise<number> {
  if (action === 'approve' && code) {
    const person = await operate<{ name: string; channel: string; role: string }>('pair.approve', { code });
    console.log(
      `${person.name} (${person.channel}) is let in${person.role === 'owner' ? ' and is the owner' : ''}.`,
    );
    return 0;
  }
  if (action !== undefined && action !== 'list') {
    console.error('Use: kimi pair [list] | kimi pair approve CODE');
    return 2;
  }
  const pending = await operate<Pending[]>('pair.list');
  if (pending.length === 0)
    console.log('No one waits. Whoever writes to the bot for the first time is shown a code.');
  for (const { code: waiting, name, channel, userId, expiresAt } of pending) {
    const minutes = Math.ceil((expiresAt - Date.now()) / 60_000);
    console.log(`${waiting}  ${name} (${channel}:${userId}), for ${minutes} more minutes`);
  }
  return 0;
}
