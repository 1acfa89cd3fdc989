/** Telegram, by long polling with node-telegram-bot-api. */
import type { Adapter } from './adapter.ts';
import { chunk } from './chunk.ts';
import { createHealth } from './health.ts';
import { connectApi } from './telegram/api.ts';
import { download, FILE_LIMITS } from './telegram/files.ts';
import { poll } from './telegram/poller.ts';
import { createSender, MESSAGE_LIMIT } from './telegram/sender.ts';
import { TIMING, type Timing } from './telegram/timing.ts';

export interface TelegramOptions {
  /** From @BotFather. */
  token: string;
  /** `https://api.telegram.org`, or a Bot API server of one's own. */
  apiRoot: string;
  /** The channel's name, where it is not `telegram`. */
  name?: string;
  timing?: Partial<Timing>;
}

export function createTelegram({ token, apiRoot, name = 'telegram', ...options }: TelegramOptions): Adapter {
  const timing: Timing = { ...TIMING, ...options.timing };
  const api = connectApi({ token, apiRoot });
  const health = createHealth();
  const sender = createSender({ api, timeoutMs: timing.requestMs, fileTimeoutMs: timing.fileMs });
  let running: { stop: AbortController; done: Promise<void> } | undefined;

  return {
    name,
    // https://core.telegram.org/bots/faq#my-bot-is-hitting-limits-how-do-i-avoid-this
    rates: { chatIntervalMs: 1_000, groupPerMinute: 20, perSecond: 30 },
    editIntervalMs: 1_100,
    async start(receive, context) {
      if (running) return;
      health.set('starting');
      const stop = new AbortController();
      running = {
        stop,
        done: poll({ api, channel: name, receive, context, health, timing, signal: stop.signal }),
      };
    },
    split: (text) =>
      chunk(text, MESSAGE_LIMIT)
        .map((piece) => piece.text)
        .filter((piece) => piece !== ''),
    send: sender.send,
    edit: sender.edit,
    remove: (_conversation, messageId, signal) => sender.remove(messageId, signal),
    fileLimits: FILE_LIMITS,
    download: (attachment, signal) =>
      download({ api, token, apiRoot, timeoutMs: timing.fileMs }, attachment, signal),
    react: (_conversation, messageId, shown) => sender.react(messageId, shown),
    typing: sender.typing,
    health: health.read,
    async stop() {
      running?.stop.abort();
      await running?.done;
      running = undefined;
      health.set('stopped');
    },
  };
}
