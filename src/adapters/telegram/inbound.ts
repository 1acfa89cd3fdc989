/** An update, which anybody may have shaped, as a message for the daemon. */
import { z } from 'zod';
import type { Attachment, Inbound } from '../../message.ts';
import { readChoice } from './choice.ts';

/** Who we are on Telegram. */
export interface Me {
  id: number;
  username: string | undefined;
}

/** What became of an update: a message, or the kind that is passed over. */
export type Converted = { inbound: Inbound } | { ignored: string };

const user = z.object({
  id: z.int(),
  is_bot: z.boolean().catch(false),
  first_name: z.string().catch(''),
  last_name: z.string().optional().catch(undefined),
  username: z.string().optional().catch(undefined),
});

const entity = z.object({
  type: z.string(),
  offset: z.int().min(0),
  length: z.int().min(1),
  user: user.optional().catch(undefined),
});

const file = z.object({
  file_id: z.string().min(1),
  file_size: z.int().min(0).catch(0),
  file_name: z.string().optional().catch(undefined),
  mime_type: z.string().optional().catch(undefined),
});

/** A broken detail is left out; only what makes a message a message is insisted on. */
const message = z.object({
  message_id: z.int(),
  date: z.int().min(0),
  chat: z.object({ id: z.int(), type: z.enum(['private', 'group', 'supergroup']) }),
  from: user,
  message_thread_id: z.int().optional().catch(undefined),
  is_topic_message: z.boolean().catch(false),
  text: z.string().optional().catch(undefined),
  entities: z.array(entity).catch([]),
  caption: z.string().optional().catch(undefined),
  caption_entities: z.array(entity).catch([]),
  reply_to_message: z
    .object({ from: user.optional().catch(undefined), forum_topic_created: z.unknown().optional() })
    .optional()
    .catch(undefined),
  photo: z.array(file).catch([]),
  document: file.optional().catch(undefined),
  audio: file.optional().catch(undefined),
  voice: file.optional().catch(undefined),
  video: file.optional().catch(undefined),
  video_note: file.optional().catch(undefined),
});

type Message = z.infer<typeof message>;
type Entity = z.infer<typeof entity>;
type File = z.infer<typeof file>;

const press = z.object({
  id: z.string().min(1).max(200),
  from: user,
  data: z.string(),
  message: z.object({ chat: z.object({ id: z.int(), type: z.string() }) }),
});

/** The update's number, or undefined for something that is no update. */
export function updateId(update: unknown): number | undefined {
  const parsed = z.object({ update_id: z.int() }).safeParse(update);
  return parsed.success ? parsed.data.update_id : undefined;
}

/** Converts an update. Whatever holds no text, photo, file or voice of a person is ignored. */
export function convert(update: unknown, me: Me, channel: string): Converted {
  const kind = kindOf(update);
  if (kind === 'callback_query')
    return convertPress((update as { callback_query: unknown }).callback_query, me, channel);
  if (kind !== 'message') return { ignored: kind };
  const parsed = message.safeParse((update as { message: unknown }).message);
  if (!parsed.success) return { ignored: 'message of another kind' };
  const found = parsed.data;
  if (found.from.is_bot) return { ignored: 'message of a bot' };
  const attachments = attachmentsOf(found);
  const written = found.text ?? found.caption;
  if (written === undefined && attachments.length === 0) return { ignored: 'message without text' };

  const group = found.chat.type !== 'private';
  const entities = found.text === undefined ? found.caption_entities : found.entities;
  const address = readAddress(written ?? '', entities, me);
  const reply = found.reply_to_message;
  // The first message of a topic counts as what all others in it reply to.
  const answersUs = reply?.from?.id === me.id && reply.forum_topic_created === undefined;
  return {
    inbound: {
      conversation: {
        channel,
        account: String(me.id),
        chat: String(found.chat.id),
        ...(found.is_topic_message && found.message_thread_id !== undefined
          ? { thread: String(found.message_thread_id) }
          : {}),
        ...(group ? { person: String(found.from.id) } : {}),
      },
      messageId: `${found.chat.id}:${found.message_id}`,
      sender: { id: String(found.from.id), name: nameOf(found.from) },
      group,
      addressed: !group || (!address.another && (address.us || answersUs)),
      text: address.text,
      attachments,
      sentAt: found.date * 1_000,
    },
  };
}

/** A button of ours that was pressed. */
function convertPress(value: unknown, me: Me, channel: string): Converted {
  const parsed = press.safeParse(value);
  const choice = parsed.success ? readChoice(parsed.data.data) : undefined;
  if (!parsed.success || !choice) return { ignored: 'press of no button of ours' };
  const { id, from, message: shown } = parsed.data;
  const group = shown.chat.type !== 'private';
  const chat = String(shown.chat.id);
  return {
    inbound: {
      conversation: { channel, account: String(me.id), chat, ...(group && { person: String(from.id) }) },
      messageId: `callback:${id}`,
      sender: { id: String(from.id), name: nameOf(from) },
      group,
      addressed: true,
      text: '',
      attachments: [],
      choice,
      sentAt: Date.now(),
    },
  };
}

/** The name of what an update holds, for the log: short, and never its content. */
export function kindOf(update: unknown): string {
  if (typeof update !== 'object' || update === null) return 'garbage';
  const kind = Object.keys(update).find((key) => key !== 'update_id');
  return kind !== undefined && /^[a-z_]{1,40}$/.test(kind) ? kind : 'garbage';
}

interface Address {
  text: string;
  /** Mentioned or commanded. */
  us: boolean;
  /** A command that names another bot. */
  another: boolean;
}

/** Whom a text speaks to. A mention of us at its start and the `@name` of a command are removed. */
function readAddress(written: string, entities: readonly Entity[], me: Me): Address {
  const at = me.username === undefined ? undefined : `@${me.username.toLowerCase()}`;
  const slice = ({ offset, length }: Entity): string => written.slice(offset, offset + length);
  const mentions = entities.filter(
    (one) =>
      (one.type === 'mention' && slice(one).toLowerCase() === at) ||
      (one.type === 'text_mention' && one.user?.id === me.id),
  );
  const first = mentions.find((one) => written.slice(0, one.offset).trim() === '');
  const start = first ? first.offset + first.length : 0;
  const text = first ? written.slice(start).replace(/^\s*[,:]?\s*/, '') : written;

  const command = /^\/([a-z0-9_]+)(@[a-z0-9_]+)?(?![^\s])/i.exec(text.trimStart());
  const named = command?.[2]?.toLowerCase();
  if (!command || (named !== undefined && named !== at)) {
    return { text, us: mentions.length > 0, another: named !== undefined };
  }
  return { text: `/${command[1]}${text.trimStart().slice(command[0].length)}`, us: true, another: false };
}

function attachmentsOf(found: Message): Attachment[] {
  const largest = found.photo.reduce<File | undefined>(
    (best, one) => (best && best.file_size >= one.file_size ? best : one),
    undefined,
  );
  return [
    ...(largest ? [attachment('image', largest, 'photo.jpg', 'image/jpeg')] : []),
    ...(found.document ? [document(found.document)] : []),
    ...(found.audio ? [attachment('audio', found.audio, 'audio', 'audio/mpeg')] : []),
    ...(found.video ? [document(found.video)] : []),
    ...(found.video_note ? [document(found.video_note)] : []),
    ...(found.voice ? [attachment('audio', found.voice, 'voice.ogg', 'audio/ogg')] : []),
  ];
}

function document(found: File): Attachment {
  const [type] = (found.mime_type ?? '').split('/');
  const kind = type === 'image' || type === 'audio' ? type : 'document';
  return attachment(kind, found, 'document', 'application/octet-stream');
}

function attachment(kind: Attachment['kind'], found: File, name: string, mediaType: string): Attachment {
  return {
    kind,
    name: (found.file_name ?? name).slice(-255),
    mediaType: found.mime_type ?? mediaType,
    bytes: found.file_size,
    source: { platformId: found.file_id },
  };
}

function nameOf(from: z.infer<typeof user>): string {
  const full = [from.first_name, from.last_name].filter(Boolean).join(' ').trim();
  return full || from.username || String(from.id);
}
