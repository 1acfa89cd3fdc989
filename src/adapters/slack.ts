/** Slack, by Socket Mode with Bolt. */
import type { Adapter } from './adapter.ts';
import { createHealth } from './health.ts';
import { connectApi } from './slack/api.ts';
import { splitMrkdwn } from './slack/blocks.ts';
import { FILE_LIMIT } from './slack/files.ts';
import { createSender, MESSAGE_LIMIT } from './slack/sender.ts';
import { type Session, startSession } from './slack/session.ts';
import { TIMING, type Timing } from './slack/timing.ts';

export interface SlackOptions {
  /** `xoxb-…`, of the app as it is installed. */
  botToken: string;
  /** `xapp-…`, with connections:write. */
  appToken: string;
  /** `https://slack.com/api`. */
  apiUrl: string;
  /** The channel's name, where it is not `slack`. */
  name?: string;
  timing?: Partial<Timing>;
}

export function createSlack({
  botToken,
  appToken,
  apiUrl,
  name = 'slack',
  ...options
}: SlackOptions): Adapter {
  const timing: Timing = { ...TIMING, ...options.timing };
  const health = createHealth();
  let session: Session | undefined;
  const api = connectApi({
    botToken,
    apiUrl,
    timeoutMs: timing.requestMs,
    onUnauthorized: () => session?.recheck(),
  });
  const sender = createSender({ api, botToken, timing });

  return {
    name,
    // https://docs.slack.dev/apis/web-api/rate-limits#posting-messages
    rates: { chatIntervalMs: 1_000 },
    // chat.update may be called fifty times a minute and a little more.
    editIntervalMs: 1_200,
    async start(receive, context) {
      if (session) return;
      health.set('starting');
      session = startSession({ api, appToken, channel: name, receive, context, health, timing });
    },
    split: (text) => splitMrkdwn(text, MESSAGE_LIMIT),
    send: sender.send,
    edit: sender.edit,
    remove: (_conversation, messageId, signal) => sender.remove(messageId, signal),
    fileLimits: { download: FILE_LIMIT, upload: FILE_LIMIT },
    download: sender.download,
    react: (_conversation, messageId, shown) => sender.react(messageId, shown),
    typing: sender.typing,
    showsTyping: sender.showsTyping,
    health: health.read,
    async stop() {
      await session?.stop();
      session = undefined;
      health.set('stopped');
    },
  };
}
