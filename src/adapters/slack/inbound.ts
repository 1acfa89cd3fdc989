/** What Slack hands us, which anybody may have shaped, as a message for the daemon. */
import { z } from 'zod';
import type { Attachment, ConversationId, Inbound } from '../../message.ts';
import { type Me, readAddress, readText } from './text.ts';

/** An envelope of Socket Mode. */
export interface Envelope {
  id: string;
  /** `events_api`, `slash_commands`, `interactive`. */
  type: string;
  payload: unknown;
}

/** What became of an envelope: a message, or the kind that is passed over. */
export type Converted = { inbound: Inbound } | { ignored: string };

export interface ConvertContext {
  me: Me;
  channel: string;
  /** What `/kimi NAME` is taken for a command with. */
  commands: readonly string[];
}

const id = z.string().regex(/^[A-Z0-9]{2,30}$/);
const timestamp = z.string().regex(/^\d{1,12}\.\d{1,9}$/);
const text = z.string().catch('');

const file = z.object({
  id,
  name: z.string().optional().catch(undefined),
  mimetype: z.string().catch('application/octet-stream'),
  size: z.int().min(0).catch(0),
  mode: z.string().catch(''),
});

/** A broken detail is left out; only what makes a message a message is insisted on. */
const message = z.object({
  type: z.enum(['message', 'app_mention']),
  subtype: z.string().optional(),
  channel: id,
  user: id,
  ts: timestamp,
  thread_ts: timestamp.optional().catch(undefined),
  bot_id: z.unknown().optional(),
  text,
  files: z.array(z.unknown()).catch([]),
  user_profile: z.object({ display_name: text, real_name: text }).optional().catch(undefined),
});

const command = z.object({ channel_id: id, user_id: id, user_name: text, text, trigger_id: text });

const press = z.object({
  type: z.literal('block_actions'),
  user: z.object({ id, name: text, username: text }),
  channel: z.object({ id }),
  message: z.object({ ts: timestamp, thread_ts: timestamp.optional().catch(undefined) }),
  trigger_id: text,
  actions: z
    .array(
      z.object({
        type: z.literal('button'),
        value: z.string(),
        action_ts: text,
        text: z.object({ text }).catch({ text: '' }),
      }),
    )
    .min(1),
});

/** What the buttons of our questions carry: see blocks.ts. */
const choice = z.tuple([z.string(), z.string()]);

/** Posts of people. All other subtypes are edits, notices or posts of bots. */
const WRITTEN = new Set([undefined, 'file_share', 'thread_broadcast', 'me_message']);
/** Files that are gone, or that are elsewhere. */
const ABSENT = new Set(['tombstone', 'hidden_by_limit', 'external']);
/** Slack itself, who tells people what happened. */
const SLACKBOT = 'USLACKBOT';

export function convert(envelope: Envelope, context: ConvertContext): Converted {
  switch (envelope.type) {
    case 'events_api':
      return fromEvent(envelope.payload, context);
    case 'slash_commands':
      return fromCommand(envelope, context);
    case 'interactive':
      return fromPress(envelope, context);
    default:
      return { ignored: kind(envelope.type) };
  }
}

function fromEvent(payload: unknown, { me, channel }: ConvertContext): Converted {
  const event = z.object({ event: z.object({ type: z.string() }).loose() }).safeParse(payload).data?.event;
  if (!event) return { ignored: 'no event' };
  const parsed = message.safeParse(event);
  if (!parsed.success) return { ignored: kind(event.type) };
  const found = parsed.data;
  if (!WRITTEN.has(found.subtype)) return { ignored: kind(found.subtype) };
  if (found.bot_id != null || found.user === me.user || found.user === SLACKBOT) {
    return { ignored: 'message of a bot' };
  }
  const attachments = found.files.flatMap(attachment);
  const { mentioned, text: written } = readAddress(found.text, me);
  if (written.trim() === '' && attachments.length === 0 && !mentioned) {
    return { ignored: 'message without text' };
  }

  const group = isGroup(found.channel);
  const thread = found.thread_ts ?? (group ? found.ts : undefined);
  const profile = found.user_profile;
  return {
    inbound: {
      conversation: place(me, channel, found.channel, found.user, thread),
      // One post may come as a message and as a mention, in either order.
      messageId: `${found.channel}:${found.ts}`,
      sender: { id: found.user, name: profile?.display_name || profile?.real_name || found.user },
      group,
      addressed: !group || mentioned || found.type === 'app_mention',
      ...(group && found.thread_ts !== undefined && { inThread: true }),
      text: written,
      attachments,
      sentAt: Math.floor(Number(found.ts) * 1_000),
    },
  };
}

function fromCommand(envelope: Envelope, { me, channel, commands }: ConvertContext): Converted {
  const parsed = command.safeParse(envelope.payload);
  if (!parsed.success) return { ignored: 'command of another kind' };
  const found = parsed.data;
  return {
    inbound: {
      conversation: place(me, channel, found.channel_id, found.user_id, undefined),
      messageId: `command:${found.trigger_id || envelope.id}`,
      sender: { id: found.user_id, name: found.user_name || found.user_id },
      group: isGroup(found.channel_id),
      addressed: true,
      text: asCommand(readText(found.text, me).trim(), commands),
      attachments: [],
      sentAt: Date.now(),
    },
  };
}

/** `/kimi help` is `/help`, `/kimi model NAME` is `/model NAME`; `/kimi new ideas for dinner?` is a question. */
function asCommand(written: string, commands: readonly string[]): string {
  if (written === '') return '/help';
  const [name = '', ...rest] = written.split(/\s+/);
  return rest.length <= 1 && commands.includes(name.toLowerCase()) ? `/${written}` : written;
}

function fromPress(envelope: Envelope, { me, channel }: ConvertContext): Converted {
  const parsed = press.safeParse(envelope.payload);
  const action = parsed.data?.actions[0];
  if (!parsed.success || !action) return { ignored: 'interaction of another kind' };
  const chosen = choice.safeParse(json(action.value));
  if (!chosen.success) return { ignored: 'button of another kind' };
  const { user, channel: room, message: asked, trigger_id } = parsed.data;
  const [ask, option] = chosen.data;
  return {
    inbound: {
      conversation: place(me, channel, room.id, user.id, asked.thread_ts),
      messageId: `action:${trigger_id || envelope.id}`,
      sender: { id: user.id, name: user.name || user.username || user.id },
      group: isGroup(room.id),
      addressed: true,
      text: action.text.text,
      attachments: [],
      choice: { ask, option },
      sentAt: Math.floor(Number(action.action_ts) * 1_000) || Date.now(),
    },
  };
}

/** All but direct messages with one person: those of several (`G…`) and channels. */
function isGroup(room: string): boolean {
  return !room.startsWith('D');
}

/** The account is the workspace: it stays when the app is installed anew, and its bot user with it. */
function place(
  me: Me,
  channel: string,
  room: string,
  person: string,
  thread: string | undefined,
): ConversationId {
  return {
    channel,
    account: me.team,
    chat: room,
    ...(thread === undefined ? {} : { thread }),
    ...(isGroup(room) ? { person } : {}),
  };
}

function attachment(value: unknown): Attachment[] {
  const parsed = file.safeParse(value);
  if (!parsed.success || ABSENT.has(parsed.data.mode)) return [];
  const { id: platformId, name, mimetype, size } = parsed.data;
  const [type] = mimetype.split('/');
  return [
    {
      kind: type === 'image' || type === 'audio' ? type : 'document',
      name: (name ?? 'file').slice(-255),
      mediaType: mimetype,
      bytes: size,
      source: { platformId },
    },
  ];
}

/** A name for the log; of what could be anything, nothing. */
function kind(name: string | undefined): string {
  return name !== undefined && /^[a-z_.]{1,40}$/.test(name) ? name : 'unknown';
}

function json(value: string): unknown {
  try {
    return JSON.parse(value);
  } catch {
    return undefined;
  }
}
