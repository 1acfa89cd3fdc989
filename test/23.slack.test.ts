import type { Timing } from '../src/adapters/slack/timing.ts';
import { createSlack } from '../src/adapters/slack.ts';
import type { ConversationId } from '../src/message.ts';
import { describeAdapter } from './contract/adapter.ts';
import { type Said, startSlack } from './support/slack.ts';

const QUICK: Partial<Timing> = {
  firstRetryMs: 5,
  longestRetryMs: 20,
  refusedRetryMs: 20,
  closeMs: 100,
};
const PERSON = 'U1001';
const direct: ConversationId = { channel: 'slack', account: 'T0KIMI', chat: 'D1001' };

describeAdapter('Slack', async () => {
  const server = await startSlack({ acknowledgeMs: 50 });
  const { botToken, appToken, apiUrl } = server;
  const adapter = createSlack({ botToken, appToken, apiUrl, timing: QUICK });
  const delivered: Said[] = [];
  server.join('D1001');
  return {
    adapter,
    secret: botToken,
    conversation: direct,
    deliver: (text) => void delivered.push(server.say(PERSON, text)),
    deliverAgain: () =>
      delivered.flatMap((said) => said.envelopes).forEach((one) => void server.sockets.again(one)),
    acknowledged: () => delivered.filter((said) => said.envelopes.every((one) => one.acknowledged)).length,
    visible: () =>
      server.sent
        .filter((one) => !one.deleted)
        .map((one) => ({ messageId: `${one.channel}:${one.ts}`, text: one.text })),
    limitNext: (retryAfterMs) => server.misbehave({ kind: 'limit', retryAfter: retryAfterMs / 1_000 }),
    refuseNext: () => server.archive('D1001'),
    loseNextAnswer: () => server.misbehave({ kind: 'lost' }),
    shutDown: () => server.close(),
    revoke: () => server.revoke('bot'),
    open: () => server.open,
    until: async (probe) => void (await server.waitFor(probe)),
    close: () => server.close(),
  };
});
