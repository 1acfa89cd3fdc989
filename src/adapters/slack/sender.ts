/** What goes out: messages, their edits and removals, files, and the signs that we are at work. */
import { KimiError } from '../../errors.ts';
import type { ConversationId, Outbound } from '../../message.ts';
import { loadMarkup, type Markup } from '../markup.ts';
import { CallError, ownError, type SlackApi } from './api.ts';
import { askBlocks } from './blocks.ts';
import { createFiles, type Files } from './files.ts';
import type { Timing } from './timing.ts';

/** What chat.update takes; chat.postMessage takes ten times as much, which could then not be edited. */
export const MESSAGE_LIMIT = 4_000;

/** The reaction that says we are at work. */
const SIGN = 'eyes';
const MOST_WITHOUT_STATUS = 1_000;

export interface Sender {
  send(outbound: Outbound, signal: AbortSignal): Promise<{ messageId: string }>;
  edit(messageId: string, outbound: Outbound, signal: AbortSignal): Promise<void>;
  remove(messageId: string, signal: AbortSignal): Promise<void>;
  react(messageId: string, shown: boolean): Promise<void>;
  typing(conversation: ConversationId): Promise<void>;
  showsTyping(conversation: ConversationId): boolean;
  download: Files['download'];
}

export interface SenderOptions {
  api: SlackApi;
  botToken: string;
  timing: Timing;
}

export function createSender({ api, botToken, timing }: SenderOptions): Sender {
  let loading: Promise<Markup> | undefined;
  const markup = (): Promise<Markup> => {
    loading ??= loadMarkup();
    return loading;
  };
  const files = createFiles({ api, botToken, markup, timing });
  /** Rooms in which Slack would not show a status. */
  const withoutStatus = new Set<string>();

  /** Slack shows a status in threads alone, and only where the workspace lets assistants. */
  const takesStatus = (chat: string, thread: string | undefined) =>
    thread !== undefined && !withoutStatus.has(chat);

  /** What a message shows. `blocks` is always there: an edit that leaves it out may keep the buttons. */
  async function shown({ text, ask }: Outbound) {
    const rendering = await markup();
    return {
      text: rendering.slack(text, MESSAGE_LIMIT),
      blocks: ask ? askBlocks(text, ask, rendering) : [],
      parse: 'none' as const,
      link_names: false,
    };
  }

  async function post(outbound: Outbound, signal: AbortSignal): Promise<string> {
    const { chat, thread } = outbound.conversation;
    const show = await shown(outbound);
    return api.call('send a message', signal, async (client) => {
      const { ts } = await client.chat.postMessage({
        channel: chat,
        ...(thread !== undefined && { thread_ts: thread }),
        ...show,
        unfurl_links: false,
        unfurl_media: false,
      });
      if (!ts) throw new TypeError('no message in the answer');
      return `${chat}:${ts}`;
    });
  }

  async function own<T>(run: () => Promise<T>): Promise<T> {
    try {
      return await run();
    } catch (error) {
      throw ownError(error);
    }
  }

  /** A call that nobody waits for the success of. Resolves with whether Slack took it. */
  async function attempt(doing: string, run: Parameters<SlackApi['call']>[2]): Promise<boolean> {
    try {
      await api.call(doing, new AbortController().signal, run, Math.min(timing.requestMs, 5_000));
      return true;
    } catch (error) {
      return !(error instanceof CallError && error.trouble.kind === 'api');
    }
  }

  return {
    send: (outbound, signal) =>
      own(async () => {
        const { file, ask, text } = outbound;
        if (!file) return { messageId: await post(outbound, signal) };
        const id = await files.upload(outbound, file, ask ? '' : text, signal);
        // A file's message cannot have buttons: they come below it.
        return { messageId: ask ? await post(outbound, signal) : `file:${id}` };
      }),

    edit: (messageId, outbound, signal) =>
      own(async () => {
        // A file's message has no id that Slack tells; its caption stays.
        if (fileOf(messageId)) return;
        const place = placeOf(messageId);
        const show = await shown(outbound);
        await api.call('edit a message', signal, (client) => client.chat.update({ ...place, ...show }));
      }),

    remove: (messageId, signal) =>
      own(async () => {
        const file = fileOf(messageId);
        const place = file ? undefined : placeOf(messageId);
        try {
          await api.call('remove a message', signal, async (client) => {
            if (file) await client.files.delete({ file });
            if (place) await client.chat.delete(place);
          });
        } catch (error) {
          if (!says(error, /^(?:message_not_found|file_not_found|file_deleted)$/)) throw error;
        }
      }),

    async react(messageId, shown) {
      // Commands and presses are no messages that could be reacted to.
      const place = findPlace(messageId);
      if (!place) return;
      const reaction = { channel: place.channel, timestamp: place.ts, name: SIGN };
      await attempt('react', async (client) => {
        await (shown ? client.reactions.add(reaction) : client.reactions.remove(reaction));
      });
    },

    async typing({ chat, thread }) {
      // Whoever sees us write will see a message soon: this is when to load what renders it.
      markup().catch(() => undefined);
      if (thread === undefined || !takesStatus(chat, thread)) return;
      const status = { channel_id: chat, thread_ts: thread, status: 'is typing…' };
      const taken = await attempt('show a status', (client) => client.assistant.threads.setStatus(status));
      if (taken) return;
      if (withoutStatus.size >= MOST_WITHOUT_STATUS) withoutStatus.clear();
      withoutStatus.add(chat);
    },

    showsTyping: ({ chat, thread }) => takesStatus(chat, thread),

    download: (attachment, signal) => own(() => files.download(attachment, signal)),
  };
}

function says(error: unknown, pattern: RegExp): boolean {
  return error instanceof CallError && error.trouble.kind === 'api' && pattern.test(error.trouble.error);
}

function fileOf(messageId: string): string | undefined {
  return /^file:(\w+)$/.exec(messageId)?.[1];
}

/** Timestamps are unique within a channel only, so ids of messages hold both: `channel:timestamp`. */
function findPlace(messageId: string): { channel: string; ts: string } | undefined {
  const [, channel, ts] = /^([A-Z0-9]+):(\d+\.\d+)$/.exec(messageId) ?? [];
  return channel === undefined || ts === undefined ? undefined : { channel, ts };
}

function placeOf(messageId: string): { channel: string; ts: string } {
  const place = findPlace(messageId);
  if (place) return place;
  throw new KimiError(`${JSON.stringify(messageId)} is no message of Slack; pass an id that send returned.`, {
    code: 'refused',
  });
}
