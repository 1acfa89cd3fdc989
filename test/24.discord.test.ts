import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Adapter } from '../src/adapters/adapter.ts';
import type { Timing } from '../src/adapters/discord/timing.ts';
import { createDiscord } from '../src/adapters/discord.ts';
import { stateInMemory } from '../src/adapters/state.ts';
import type { ConversationId } from '../src/message.ts';
import { describeAdapter } from './contract/adapter.ts';
import { type DiscordServer, startDiscord } from './support/discord.ts';

const QUICK: Partial<Timing> = {
  requestMs: 3_000,
  helloMs: 2_000,
  readyMs: 2_000,
  closeMs: 100,
  identifyMs: 0,
  stableMs: 0,
  firstRetryMs: 5,
  longestRetryMs: 20,
  refusedRetryMs: 20,
};
const PERSON = '100000000000001001';

const direct: ConversationId = {
  channel: 'discord',
  account: '100000000000000007',
  chat: '500000000000001001',
};

describeAdapter('Discord', async () => {
  const server = await startDiscord();
  const state = stateInMemory();
  const adapter = createDiscord({ token: server.token, apiUrl: server.apiUrl, timing: QUICK, state });
  server.say(PERSON, 'what made the chat known', { silently: true });
  const delivered: string[] = [];
  let last: { channelId: string; messageId: string; text: string } | undefined;
  return {
    adapter,
    secret: server.token,
    conversation: direct,
    deliver(text) {
      const { messageId, channelId } = server.say(PERSON, text);
      last = { messageId, channelId, text };
      delivered.push(messageId);
    },
    deliverAgain() {
      if (!last) return;
      server.dispatch('MESSAGE_CREATE', {
        id: last.messageId,
        channel_id: last.channelId,
        channel_type: 1,
        type: 0,
        author: { id: PERSON, username: 'person' },
        content: last.text,
      });
    },
    acknowledged() {
      const { seen } = JSON.parse(state.get(`room:${direct.chat}`) || '{"seen":"0"}');
      return delivered.filter((id) => BigInt(id) <= BigInt(seen)).length;
    },
    visible: () =>
      server.sent
        .filter((one) => !one.deleted)
        .map((one) => ({ messageId: `${one.channelId}:${one.id}`, text: one.content })),
    limitNext: (retryAfterMs) => server.misbehave({ kind: 'flood', retryAfter: retryAfterMs / 1_000 }),
    refuseNext: () => server.block(direct.chat),
    loseNextAnswer: () => server.misbehave({ kind: 'lost' }),
    shutDown: () => server.close(),
    revoke: () => server.revoke(),
    open: () => server.open,
    until: async (probe) => void (await server.waitFor(probe)),
    close: () => server.close(),
  };
});
