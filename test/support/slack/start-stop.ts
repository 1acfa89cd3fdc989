/** Starts the channel, lives through reconnections, stops it, and ends only if that leaves nothing open. */
import { createSlack } from '../../../src/adapters/slack.ts';
import { createLog } from '../../../src/log.ts';

const [apiUrl = '', botToken = '', appToken = ''] = process.argv.slice(2);
const adapter = createSlack({ apiUrl, botToken, appToken });
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
