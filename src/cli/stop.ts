/** `kimi stop`: ends the daemon in good order. */
import { connectDaemon } from './client.ts';

export async function run(): Promise<number> {
  const client = await connectDaemon();
  if (!client) {
    console.log('Kimi is not running.');
    return 0;
  }
  await client.call('stop').catch(() => {});
  await client.closed;
  console.log('Kimi has stopped.');
  return 0;
}
