/** What goes out: messages, their edits and removals, and the sign that we are writing. */
import type { InlineKeyboardMarkup, ReplyParameters } from 'node-telegram-bot-api';
import { KimiError } from '../../errors.ts';
import type { Ask, Attachment, ConversationId, Outbound } from '../../message.ts';
import { loadMarkup, type Markup } from '../markup.ts';
import { CallError, ownError, type TelegramApi } from './api.ts';
import { writeChoice } from './choice.ts';
import { inputFile, methodFor, type SendMethod } from './files.ts';

/** The reaction that says we are at work. */
const SIGN = '👀';

/** UTF-16 units, once entities are parsed: https://core.telegram.org/bots/api#sendmessage */
export const MESSAGE_LIMIT = 4_096;

export interface Sender {
  send(outbound: Outbound, signal: AbortSignal): Promise<{ messageId: string }>;
  edit(messageId: string, outbound: Outbound, signal: AbortSignal): Promise<void>;
  remove(messageId: string, signal: AbortSignal): Promise<void>;
  typing(conversation: ConversationId): Promise<void>;
  react(messageId: string, shown: boolean): Promise<void>;
}

interface Shown {
  text: string;
  parse_mode?: 'HTML';
  link_preview_options: { is_disabled: true };
  /** An edit without it takes the buttons away. */
  reply_markup?: InlineKeyboardMarkup;
}

export interface SenderOptions {
  api: TelegramApi;
  timeoutMs: number;
  fileTimeoutMs: number;
}

export function createSender({ api, timeoutMs, fileTimeoutMs }: SenderOptions): Sender {
  let loading: Promise<Markup> | undefined;
  const markup = (): Promise<Markup> => {
    loading ??= loadMarkup();
    return loading;
  };

  /** Writes `text` with its markup or, when Telegram will not have that, as it stands. */
  async function write<T>({ text, ask }: Outbound, attempt: (shown: Shown) => Promise<T>): Promise<T> {
    const html = (await markup()).telegram(text, MESSAGE_LIMIT);
    const plain: Shown = {
      text,
      link_preview_options: { is_disabled: true },
      ...(ask && { reply_markup: keyboard(ask) }),
    };
    try {
      return await attempt({ ...plain, text: html, parse_mode: 'HTML' });
    } catch (error) {
      if (!isAboutMarkup(error)) throw error;
      return attempt(plain);
    }
  }

  async function own<T>(run: () => Promise<T>): Promise<T> {
    try {
      return await run();
    } catch (error) {
      throw ownError(error);
    }
  }

  async function sendFile(
    target: Target,
    file: Attachment,
    text: string,
    signal: AbortSignal,
  ): Promise<string> {
    const caption = text === '' ? {} : { caption: text };
    const post = (method: SendMethod) =>
      api.call('send a file', fileTimeoutMs, signal, async (bot, abort) => {
        const input = await inputFile(file);
        const sent = await {
          sendPhoto: () => bot.sendPhoto({ ...target, ...caption, photo: input }, abort),
          sendVoice: () => bot.sendVoice({ ...target, ...caption, voice: input }, abort),
          sendAudio: () => bot.sendAudio({ ...target, ...caption, audio: input }, abort),
          sendDocument: () => bot.sendDocument({ ...target, ...caption, document: input }, abort),
        }[method]();
        if (!Number.isSafeInteger(sent?.message_id)) throw new TypeError('no message in the answer');
        return `${target.chat_id}:${sent.message_id}`;
      });
    const method = methodFor(file);
    try {
      return await post(method);
    } catch (error) {
      // Odd shapes and formats are no photos or voices to Telegram, but always documents.
      if (method === 'sendDocument' || !says(error, /photo|image|voice|audio|dimensions/i)) throw error;
      return post('sendDocument');
    }
  }

  return {
    send: (outbound, signal) =>
      own(async () => {
        const target = targetOf(outbound);
        if (outbound.file) return { messageId: await sendFile(target, outbound.file, outbound.text, signal) };
        return write(outbound, (shown) =>
          api.call('send a message', timeoutMs, signal, async (bot, abort) => {
            const sent = await bot.sendMessage({ ...target, ...shown }, abort);
            if (!Number.isSafeInteger(sent?.message_id)) throw new TypeError('no message in the answer');
            return { messageId: `${target.chat_id}:${sent.message_id}` };
          }),
        );
      }),

    edit: (messageId, outbound, signal) =>
      own(async () => {
        const place = placeOf(messageId);
        try {
          await write(outbound, (shown) =>
            api.call('edit a message', timeoutMs, signal, (bot, abort) =>
              bot.editMessageText({ ...place, ...shown }, abort),
            ),
          );
        } catch (error) {
          if (!says(error, /message is not modified/i)) throw error;
        }
      }),

    remove: (messageId, signal) =>
      own(async () => {
        const place = placeOf(messageId);
        try {
          await api.call('remove a message', timeoutMs, signal, (bot, abort) =>
            bot.deleteMessage(place, abort),
          );
        } catch (error) {
          if (!says(error, /message to delete not found/i)) throw error;
        }
      }),

    async typing(conversation) {
      // Whoever sees us write will see a message soon: this is when to load what renders it.
      markup().catch(() => undefined);
      const { chat_id, message_thread_id } = targetOf({ conversation });
      const topic = message_thread_id === undefined ? {} : { message_thread_id };
      await api
        .call('show typing', Math.min(timeoutMs, 5_000), new AbortController().signal, (bot, abort) =>
          bot.sendChatAction({ chat_id, action: 'typing', ...topic }, abort),
        )
        .catch(() => undefined);
    },

    async react(messageId, shown) {
      const reaction = shown ? [{ type: 'emoji' as const, emoji: SIGN }] : [];
      await api
        .call('react to a message', Math.min(timeoutMs, 5_000), new AbortController().signal, (bot, abort) =>
          bot.setMessageReaction({ ...placeOf(messageId), reaction }, abort),
        )
        .catch(() => undefined);
    },
  };
}

/** One button a line: labels are words, and a phone is narrow. */
function keyboard({ id, options }: Ask): InlineKeyboardMarkup {
  return {
    inline_keyboard: options.map((option) => [
      { text: option.label, callback_data: writeChoice({ ask: id, option: option.id }) },
    ]),
  };
}

/** Whether Telegram could not read the markup, or counts its length otherwise than we do. */
function isAboutMarkup(error: unknown): boolean {
  return says(error, /parse entities|entit(y|ies)|\btag\b|too long/i);
}

function says(error: unknown, pattern: RegExp): boolean {
  if (!(error instanceof CallError) || error.trouble.kind !== 'api') return false;
  return error.trouble.code === 400 && pattern.test(error.trouble.description);
}

interface Target {
  chat_id: number;
  message_thread_id?: number;
  reply_parameters?: ReplyParameters;
}

function targetOf({ conversation, replyTo }: Pick<Outbound, 'conversation' | 'replyTo'>): Target {
  const target: Target = { chat_id: Number(conversation.chat) };
  if (conversation.thread !== undefined) target.message_thread_id = Number(conversation.thread);
  // In a direct chat everybody knows what is answered. Groups have negative ids.
  if (replyTo !== undefined && target.chat_id < 0) {
    target.reply_parameters = { message_id: placeOf(replyTo).message_id, allow_sending_without_reply: true };
  }
  return target;
}

/** Message ids are unique within a chat only, so ours hold both: `chat:message`. */
function placeOf(messageId: string): { chat_id: number; message_id: number } {
  const [, chat, message] = /^(-?\d+):(\d+)$/.exec(messageId) ?? [];
  if (chat === undefined || message === undefined) {
    throw new KimiError(
      `${JSON.stringify(messageId)} is no message of Telegram; pass an id that send returned.`,
      {
        code: 'refused',
      },
    );
  }
  return { chat_id: Number(chat), message_id: Number(message) };
}
