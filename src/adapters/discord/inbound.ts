/** Messages and interactions, which anybody may have shaped, as messages for the daemon. */
import { z } from 'zod';
import type { Attachment, ConversationId, Inbound, Sender } from '../../message.ts';
import { readChoice } from './buttons.ts';
import { type Me, snowflake } from './frames.ts';
import { readable, withoutLeading } from './mentions.ts';
import type { Place, Rooms } from './rooms.ts';

/** What became of an event: a message, or the kind that is passed over. */
export type Converted = { inbound: Inbound } | { ignored: string };

const user = z.object({
  id: snowflake,
  username: z.string().catch(''),
  global_name: z.string().nullish().catch(undefined),
  bot: z.boolean().catch(false),
});

const member = z.object({ nick: z.string().nullish().catch(undefined) });

const file = z.object({
  filename: z.string().catch('file'),
  content_type: z.string().optional().catch(undefined),
  size: z.int().min(0).catch(0),
  url: z.url(),
});

/** A broken detail is left out; only what makes a message a message is insisted on. */
const message = z.object({
  id: snowflake,
  channel_id: snowflake,
  type: z.int(),
  author: user,
  content: z.string().catch(''),
  timestamp: z.string().catch(''),
  webhook_id: snowflake.optional().catch(undefined),
  member: member.optional().catch(undefined),
  mentions: z.array(user).catch([]),
  mention_roles: z.array(snowflake).catch([]),
  attachments: z.array(file).catch([]),
  referenced_message: z.object({ author: user }).nullish().catch(undefined),
  message_snapshots: z
    .array(
      z.object({
        message: z.object({ content: z.string().catch(''), attachments: z.array(file).catch([]) }),
      }),
    )
    .catch([]),
});

/** A message, and an answer to one; all others are about the room: https://discord.com/developers/docs/resources/message#message-object-message-types */
const WRITTEN = [0, 19];

const interaction = z.object({
  id: snowflake,
  token: z.string().min(1),
  channel_id: snowflake,
  user: user.optional().catch(undefined),
  member: member.extend({ user }).optional().catch(undefined),
});

const command = z.object({
  type: z.literal(2),
  data: z.object({
    name: z.string().min(1),
    options: z.array(z.object({ name: z.string(), value: z.unknown() })).catch([]),
  }),
});

const press = z.object({ type: z.literal(3), data: z.object({ custom_id: z.string() }) });

/** Where an event happened, as far as it tells itself. Undefined for one that tells no room. */
export function whereabouts(
  data: Record<string, unknown>,
): { id: string; group: boolean; type: number | undefined } | undefined {
  const found = z
    .object({
      channel_id: snowflake,
      guild_id: snowflake.nullish(),
      channel_type: z.int().optional().catch(undefined),
      channel: z.object({ type: z.int() }).optional().catch(undefined),
    })
    .safeParse(data);
  if (!found.success) return undefined;
  const { channel_id: id, guild_id: guild, channel_type: type, channel } = found.data;
  return { id, group: guild != null, type: type ?? channel?.type };
}

/** Converts a message. Whatever is not written by a person is ignored. */
export function convertMessage(
  data: unknown,
  me: Me,
  place: Place,
  rooms: Rooms,
  channel: string,
): Converted {
  const parsed = message.safeParse(data);
  if (!parsed.success) return { ignored: 'message of another kind' };
  const found = parsed.data;
  if (found.author.bot || found.webhook_id !== undefined) return { ignored: 'message of a bot' };
  if (!WRITTEN.includes(found.type)) return { ignored: 'message about the room' };
  const forwarded = found.message_snapshots.map((snapshot) => snapshot.message);
  const content = [found.content, ...forwarded.map((one) => one.content)].filter(Boolean).join('\n');
  const attachments = [...found.attachments, ...forwarded.flatMap((one) => one.attachments)];
  if (content === '' && attachments.length === 0) return { ignored: 'message without text' };
  const isUs = (id: string): boolean => id === me.id || rooms.isOurs(id);
  const people = new Map(found.mentions.map((one) => [one.id, one.global_name || one.username]));
  const sender: Sender = {
    id: found.author.id,
    name: found.member?.nick || found.author.global_name || found.author.username || found.author.id,
  };
  const text = readable(withoutLeading(content, isUs), {
    person: (id) => (id === me.id ? me.username : people.get(id)),
    role: rooms.nameOf,
    room: rooms.nameOf,
  });
  return {
    inbound: {
      conversation: conversationOf(place, sender, me, channel),
      messageId: `${found.channel_id}:${found.id}`,
      sender,
      group: place.group,
      addressed:
        !place.group ||
        found.mentions.some((one) => one.id === me.id) ||
        found.mention_roles.some(isUs) ||
        found.referenced_message?.author.id === me.id,
      ...(place.thread && { inThread: true }),
      text,
      attachments: attachments.map(attachmentOf),
      sentAt: Date.parse(found.timestamp) || sentAtOf(found.id),
    },
  };
}

/** A command or a button, and what it takes to acknowledge it. */
export interface Interaction {
  id: string;
  token: string;
  kind: 'command' | 'press';
}

/** Converts an interaction, where it is a command or a button of ours. */
export function convertInteraction(
  data: unknown,
  me: Me,
  place: Place,
  channel: string,
): { inbound: Inbound; interaction: Interaction } | { ignored: string } {
  const parsed = interaction.safeParse(data);
  if (!parsed.success) return { ignored: 'interaction of another kind' };
  const { id, token, member: guest } = parsed.data;
  const by = guest?.user ?? parsed.data.user;
  if (!by || by.bot) return { ignored: 'interaction of nobody' };
  const sender: Sender = { id: by.id, name: guest?.nick || by.global_name || by.username || by.id };
  const inbound: Inbound = {
    conversation: conversationOf(place, sender, me, channel),
    messageId: `interaction:${id}`,
    sender,
    group: place.group,
    addressed: true,
    ...(place.thread && { inThread: true }),
    text: '',
    attachments: [],
    sentAt: sentAtOf(id),
  };
  const called = command.safeParse(data);
  if (called.success) {
    const { name, options } = called.data.data;
    const values = options.map((option) => option.value).filter((value) => typeof value === 'string');
    const text = [`/${name}`, ...values].join(' ');
    return { inbound: { ...inbound, text }, interaction: { id, token, kind: 'command' } };
  }
  const pressed = press.safeParse(data);
  const choice = pressed.success ? readChoice(pressed.data.data.custom_id) : undefined;
  if (!choice) return { ignored: 'interaction of another kind' };
  return { inbound: { ...inbound, text: choice.option, choice }, interaction: { id, token, kind: 'press' } };
}

function conversationOf(
  { id, group, thread }: Place,
  sender: Sender,
  me: Me,
  channel: string,
): ConversationId {
  return {
    channel,
    account: me.id,
    chat: id,
    ...(thread && { thread: id }),
    ...(group && { person: sender.id }),
  };
}

function attachmentOf(found: z.infer<typeof file>): Attachment {
  const mediaType = found.content_type ?? 'application/octet-stream';
  const [type] = mediaType.split('/');
  return {
    kind: type === 'image' || type === 'audio' ? type : 'document',
    name: found.filename.slice(-255),
    mediaType,
    bytes: found.size,
    source: { platformId: found.url },
  };
}

/** Milliseconds since 2015 are the upper bits of every id. */
function sentAtOf(id: string): number {
  return Number(BigInt(id) >> 22n) + 1_420_070_400_000;
}
