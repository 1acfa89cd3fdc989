/** Starts the channel, stops it once it is connected, and ends only if that leaves nothing open. */
import { createDiscord } from '../../../src/adapters/discord.ts';
import { createLog } from '../../../src/log.ts';

const [apiUrl = '', token = ''] = process.argv.slice(2);
const adapter = createDiscord({ token, apiUrl });
await adapter.start(async () => undefined, {
  log: createLog({ level: 'silent', secrets: () => [] }),
  commands: [],
});
const timer = setInterval(async () => {
  if (adapter.health().state !== 'connected') return;
  clearInterval(timer);
  await adapter.stop();
  console.log(adapter.health().state);
}, 10);
