/** What travels between a platform and the daemon. Knows no platform and no database. */

/**
 * Where a conversation takes place. Its encoded form is the key of everything that is stored about it, so two
 * people never share one unless they share every part.
 */
export interface ConversationId {
  /** The adapter's name: `telegram`, `terminal`. */
  channel: string;
  /** The bot account on that platform that the conversation is held with. */
  account: string;
  /** The platform's id of the room. */
  chat: string;
  /** The platform's id of the thread or topic within the room, where there is one. */
  thread?: string;
  /** The person's id, in rooms where each person has a conversation of their own. */
  person?: string;
}

/** Encodes as `channel/account/chat[/t:thread][/p:person]`, each part percent-encoded. */
export function encodeConversation(id: ConversationId): string {
  const parts = [id.channel, id.account, id.chat].map(encodeURIComponent);
  if (id.thread !== undefined) parts.push(`t:${encodeURIComponent(id.thread)}`);
  if (id.person !== undefined) parts.push(`p:${encodeURIComponent(id.person)}`);
  return parts.join('/');
}

/** The inverse of {@link encodeConversation}. Throws a TypeError on a key that it did not write. */
export function decodeConversation(key: string): ConversationId {
  const [channel, account, chat, ...rest] = key.split('/');
  if (!channel || account === undefined || chat === undefined) {
    throw new TypeError(`not a conversation key: ${JSON.stringify(key)}`);
  }
  const id: ConversationId = {
    channel: decodeURIComponent(channel),
    account: decodeURIComponent(account),
    chat: decodeURIComponent(chat),
  };
  for (const part of rest) {
    if (part.startsWith('t:')) id.thread = decodeURIComponent(part.slice(2));
    else if (part.startsWith('p:')) id.person = decodeURIComponent(part.slice(2));
  }
  return id;
}

/** Who wrote a message, as the platform knows them. */
export interface Sender {
  /** The platform's own stable id, never a name that can be changed. */
  id: string;
  /** For people to read; never used to decide anything. */
  name: string;
}

/** A file that came with a message or goes with a reply. */
export interface Attachment {
  kind: 'image' | 'audio' | 'document';
  name: string;
  /** Sniffed from the bytes once they are at hand, until then what the platform says. */
  mediaType: string;
  bytes: number;
  /** The platform's handle to fetch it by, or a path in the attachment store. */
  source: { platformId: string } | { path: string };
}

/** A message that somebody sent us, or a button that they pressed. */
export interface Inbound {
  conversation: ConversationId;
  /** Unique within (channel, account): what makes receiving it twice harmless. */
  messageId: string;
  sender: Sender;
  /** A room with several people in it, where we answer only when addressed. */
  group: boolean;
  /** In a group: whether we were mentioned, replied to or commanded. Always true in a direct chat. */
  addressed: boolean;
  /** In a thread that is a conversation of its own: once we have answered in it, nobody has to name us there. */
  inThread?: boolean;
  /** As written, with a mention of us at its start removed. */
  text: string;
  attachments: Attachment[];
  /** Set when this is no message but a button of a question of ours that was pressed. */
  choice?: { ask: string; option: string };
  /** When the platform says it was sent, in milliseconds since the epoch. */
  sentAt: number;
}

/** A question as it is shown: the text is the message's own. */
export interface Ask {
  /** Comes back in {@link Inbound.choice}. At most 40 bytes: platforms give a button little room. */
  id: string;
  /** `id` at most 16 bytes, `label` at most 40 characters; at most 10. */
  options: readonly { id: string; label: string }[];
}

/** One platform message to show. `text` is CommonMark; the adapter renders it. */
export interface Outbound {
  conversation: ConversationId;
  /** The same on every attempt to send the same message: platforms that can, deduplicate by it. */
  idempotencyKey: string;
  text: string;
  /** The message this one answers. Platforms show it where it helps: in groups. */
  replyTo?: string;
  /** A file to send, its `source` a path; `text` is then its caption, and may be empty. */
  file?: Attachment;
  /** Buttons to show below the text. An edit without them takes them away. */
  ask?: Ask;
  /** False while the text is still growing: platforms may show that by typing or a cursor. */
  final: boolean;
}
