/** What goes out: messages, their edits and removals, reactions, and the sign that we are writing. */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { asKimiError, KimiError } from '../../errors.ts';
import type { Attachment, ConversationId, Outbound } from '../../message.ts';
import { loadMarkup, type Markup } from '../markup.ts';
import type { Call, DiscordApi } from './api.ts';
import { buttonRows } from './buttons.ts';
import { CallError, CODES, failedWith } from './errors.ts';
import { FILE_LIMITS } from './files.ts';
import { snowflake } from './frames.ts';
import type { Interactions, Target } from './interactions.ts';

/** https://discord.com/developers/docs/resources/message#create-message; UTF-16 units are never fewer than what it counts. */
const MESSAGE_LIMIT = 2_000;
/** Of a source, so that there is room for escapes. */
export const PIECE_LIMIT = 1_900;

const SUPPRESS_EMBEDS = 1 << 2;
const NOBODY = { parse: [], replied_user: false };
const WORKING = encodeURIComponent('👀');
const LONGEST_REACTION_WAIT_MS = 5_000;

export interface Sender {
  send(outbound: Outbound, signal: AbortSignal): Promise<{ messageId: string }>;
  edit(messageId: string, outbound: Outbound, signal: AbortSignal): Promise<void>;
  remove(messageId: string, signal: AbortSignal): Promise<void>;
  react(messageId: string, shown: boolean): Promise<void>;
  typing(conversation: ConversationId): Promise<void>;
}

export interface SenderOptions {
  api: DiscordApi;
  interactions(): Interactions;
}

const sentMessage = z.object({ id: snowflake, channel_id: snowflake });

export function createSender({ api, interactions }: SenderOptions): Sender {
  let loading: Promise<Markup> | undefined;
  const markup = (): Promise<Markup> => {
    loading ??= loadMarkup();
    return loading;
  };

  /** What a message shows, and that it reaches nobody in particular. */
  async function shown({ text, ask }: Outbound): Promise<Record<string, unknown>> {
    return {
      content: (await markup()).discord(text, MESSAGE_LIMIT),
      components: ask ? buttonRows(ask) : [],
      allowed_mentions: NOBODY,
      flags: SUPPRESS_EMBEDS,
    };
  }

  async function write(call: Call, signal: AbortSignal): Promise<{ messageId: string }> {
    const answer = sentMessage.safeParse(await api.call(call, signal));
    if (!answer.success) {
      throw new KimiError(`Could not ${call.doing}: an answer without a message. It is tried again.`, {
        code: 'network',
        retryable: true,
        outcomeUnknown: true,
      });
    }
    return { messageId: `${answer.data.channel_id}:${answer.data.id}` };
  }

  /** In the place that a command keeps for its answer. Undefined when Discord keeps it no more. */
  async function answer(
    target: Target,
    replyTo: string,
    call: Pick<Call, 'body' | 'files'>,
    signal: AbortSignal,
  ): Promise<{ messageId: string } | undefined> {
    const method = target.as === 'original' ? 'PATCH' : 'POST';
    const query = target.as === 'followUp' ? { query: { wait: 'true' } } : {};
    try {
      const sent = await write(
        { doing: 'answer a command', method, route: target.route, auth: false, ...query, ...call },
        signal,
      );
      interactions().shown(replyTo, sent.messageId);
      return sent;
    } catch (error) {
      if (!failedWith(error, CODES.unknownWebhook, CODES.invalidWebhookToken, CODES.unknownMessage))
        throw error;
      interactions().drop(replyTo);
      return undefined;
    }
  }

  return {
    send: (outbound, signal) =>
      own(async () => {
        const { conversation, idempotencyKey, replyTo, file } = outbound;
        const files = file ? { files: [await readUpload(file)] } : {};
        const body = await shown(outbound);
        const target = interactions().targetOf(replyTo, idempotencyKey);
        if (target && replyTo !== undefined) {
          const answered = await answer(target, replyTo, { body, ...files }, signal);
          if (answered) return answered;
        }
        return write(
          {
            doing: 'send a message',
            method: 'POST',
            route: `/channels/${roomOf(conversation)}/messages`,
            body: { ...body, ...nonceOf(idempotencyKey), ...referenceOf(conversation, replyTo) },
            ...files,
          },
          signal,
        );
      }),

    edit: (messageId, outbound, signal) =>
      own(async () => {
        const { room, message } = placeOf(messageId);
        const webhook = interactions().routeOf(messageId);
        const edit = { doing: 'edit a message', method: 'PATCH', body: await shown(outbound) } as const;
        if (webhook) {
          try {
            await api.call({ ...edit, route: webhook, auth: false }, signal);
            return;
          } catch (error) {
            if (!failedWith(error, CODES.unknownWebhook, CODES.invalidWebhookToken)) throw error;
          }
        }
        await api.call({ ...edit, route: `/channels/${room}/messages/${message}` }, signal);
      }),

    remove: (messageId, signal) =>
      own(async () => {
        const { room, message } = placeOf(messageId);
        const route = interactions().routeOf(messageId) ?? (`/channels/${room}/messages/${message}` as const);
        try {
          await api.call({ doing: 'remove a message', method: 'DELETE', route }, signal);
        } catch (error) {
          if (!failedWith(error, CODES.unknownMessage)) throw error;
        }
      }),

    async react(messageId, isShown) {
      try {
        const { room, message } = placeOf(messageId);
        const route = `/channels/${room}/messages/${message}/reactions/${WORKING}/@me` as const;
        await twice(() =>
          api.call(
            { doing: 'show a reaction', method: isShown ? 'PUT' : 'DELETE', route },
            new AbortController().signal,
          ),
        );
      } catch {
        // A command has no message to react to, and a sign is not worth more attempts.
      }
    },

    async typing(conversation) {
      // Whoever sees us write will see a message soon: this is when to load what renders it.
      markup().catch(() => undefined);
      await own(async () =>
        api.call(
          { doing: 'show typing', method: 'POST', route: `/channels/${roomOf(conversation)}/typing` },
          new AbortController().signal,
        ),
      ).catch(() => undefined);
    },
  };
}

/** Discord allows few reactions a second, and one that is not taken back would stay. */
async function twice<T>(run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    const wait = error instanceof CallError ? error.error.retryAfterMs : undefined;
    if (wait === undefined || wait > LONGEST_REACTION_WAIT_MS) throw error;
    await sleep(wait);
    return run();
  }
}

async function own<T>(run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    throw error instanceof CallError ? error.error : asKimiError(error);
  }
}

async function readUpload({ name, mediaType, source }: Attachment) {
  const path = 'path' in source ? source.path : undefined;
  const data = path && (await readFile(path).catch(() => undefined));
  if (!data)
    throw new KimiError(`${name} is not on this machine any more. Make it anew.`, { code: 'refused' });
  if (data.length > FILE_LIMITS.upload) {
    throw new KimiError(`${name} is too big for Discord, which takes 10 MB. Make it smaller.`, {
      code: 'refused',
    });
  }
  return { name, contentType: mediaType, data };
}

/** Discord answers a second message with the same nonce with the first, within a few minutes. At most 25 characters. */
function nonceOf(idempotencyKey: string): object {
  const nonce = createHash('sha256').update(idempotencyKey).digest('base64url').slice(0, 25);
  return { nonce, enforce_nonce: true };
}

/** In a direct chat everybody knows what is answered. */
function referenceOf(conversation: ConversationId, replyTo: string | undefined): object {
  if (replyTo === undefined || conversation.person === undefined) return {};
  const [, room, message] = /^(\d+):(\d+)$/.exec(replyTo) ?? [];
  if (room !== conversation.chat) return {};
  return { message_reference: { message_id: message, fail_if_not_exists: false } };
}

function roomOf({ chat }: ConversationId): string {
  if (!/^\d+$/.test(chat)) {
    throw new KimiError(`${JSON.stringify(chat)} is no room of Discord; pass the id of one.`, {
      code: 'refused',
    });
  }
  return chat;
}

/** Ours hold both ids: `room:message`. */
function placeOf(messageId: string): { room: string; message: string } {
  const [, room, message] = /^(\d+):(\d+)$/.exec(messageId) ?? [];
  if (room === undefined || message === undefined) {
    throw new KimiError(
      `${JSON.stringify(messageId)} is no message of Discord; pass an id that send returned.`,
      { code: 'refused' },
    );
  }
  return { room, message };
}
