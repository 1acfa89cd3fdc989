/** The rooms and all that was written in them; what the bot writes is checked as strictly as the real server does. */
import { ApiError, invalid, type Json, list, object, type Upload } from './http.ts';
import { byId, nextId } from './ids.ts';

/** https://discord.com/developers/docs/resources/channel#channel-object-channel-types */
export const KIND = { text: 0, direct: 1, thread: 11 } as const;

export interface Room {
  id: string;
  type: number;
  name?: string;
  guild_id?: string;
  recipients?: unknown[];
}

/** One state of a message: as it was sent, or after an edit. */
export interface Version {
  at: number;
  content: string;
  body: Json;
}

export interface SentMessage {
  id: string;
  channelId: string;
  content: string;
  /** The id of the message that it answers. */
  replyTo: string | undefined;
  files: Upload[];
  /** The ids of its buttons, row by row. */
  buttons: string[][];
  reactions: Set<string>;
  versions: Version[];
  deleted: boolean;
}

const LONGEST = 2_000;
const LARGEST = 10 * 1_024 * 1_024;
const NONCE_MS = 5 * 60_000;

export class Messages {
  /** What the bot wrote. */
  readonly sent: SentMessage[] = [];
  /** Whom it has reached by a mention, as content and target. */
  readonly pings: { content: string; who: string }[] = [];
  readonly rooms = new Map<string, Room>();
  readonly blocked = new Set<string>();
  /** What people wrote. */
  private readonly written = new Map<string, (Json & { id: string })[]>();
  private readonly nonces = new Map<string, { message: SentMessage; at: number }>();

  constructor(private readonly bot: Json) {}

  room(id: string): Room {
    const room = this.rooms.get(id);
    if (!room) throw new ApiError(404, 10_003, 'Unknown Channel');
    if (this.blocked.has(id)) {
      throw room.type === KIND.direct
        ? new ApiError(403, 50_007, 'Cannot send messages to this user')
        : new ApiError(403, 50_001, 'Missing Access');
    }
    return room;
  }

  add(message: Json & { id: string; channel_id: string }): void {
    const before = this.written.get(message.channel_id) ?? [];
    this.written.set(message.channel_id, [...before, message]);
  }

  /** As the API lists them: the oldest after an id, the newest of these first, without what only events hold. */
  after(channel: string, after: string, limit: number): unknown[] {
    const room = this.room(channel);
    if (limit < 1 || limit > 100) throw invalid('limit must be from 1 to 100');
    return [
      ...(this.written.get(room.id) ?? []),
      ...this.sent.filter(this.isIn(room.id)).map((m) => this.shape(m)),
    ]
      .filter((message) => byId(message, { id: after }) > 0)
      .sort(byId)
      .slice(0, limit)
      .map(({ guild_id, channel_type, member, ...message }: Json) => message)
      .reverse();
  }

  send(channel: string, body: Json, files: Upload[]): { message: Json; again: boolean } {
    const room = this.room(channel);
    const earlier = this.byNonce(channel, body);
    if (earlier) return { message: this.shape(earlier), again: true };
    const message = this.create(room.id, body, files);
    if (body.nonce !== undefined) this.nonces.set(`${channel}/${body.nonce}`, { message, at: Date.now() });
    return { message: this.shape(message), again: false };
  }

  create(channel: string, body: Json, files: Upload[]): SentMessage {
    const version = this.check(body, files);
    const message: SentMessage = {
      id: nextId(),
      channelId: channel,
      content: version.content,
      replyTo: this.replyTo(channel, object(body.message_reference)),
      files,
      buttons: buttonsOf(body),
      reactions: new Set(),
      versions: [version],
      deleted: false,
    };
    this.sent.push(message);
    return message;
  }

  edit(message: SentMessage, body: Json, files: Upload[]): Json {
    const version = this.check(body, files);
    message.versions.push(version);
    message.content = version.content;
    message.buttons = buttonsOf(body);
    message.files = [...message.files, ...files];
    return this.shape(message);
  }

  find(channel: string, id: string): SentMessage {
    const message = this.sent.find((one) => one.id === id && one.channelId === channel && !one.deleted);
    if (!message) throw new ApiError(404, 10_008, 'Unknown Message');
    return message;
  }

  /** Any message's reactions, people's too. */
  react(channel: string, id: string, emoji: string, shown: boolean): void {
    const sets = this.sent.find((one) => one.id === id)?.reactions ?? this.reactions(channel, id);
    if (shown) sets.add(emoji);
    else sets.delete(emoji);
  }

  reactions(channel: string, id: string): Set<string> {
    const message = this.written.get(channel)?.find((one) => one.id === id);
    if (!message) throw new ApiError(404, 10_008, 'Unknown Message');
    message.reactionSet ??= new Set<string>();
    return message.reactionSet as Set<string>;
  }

  shape(message: SentMessage): Json & { id: string } {
    return {
      id: message.id,
      channel_id: message.channelId,
      type: message.replyTo === undefined ? 0 : 19,
      author: this.bot,
      content: message.content,
      timestamp: new Date(message.versions[0]?.at ?? 0).toISOString(),
      mentions: [],
      mention_roles: [],
      attachments: [],
      embeds: [],
    };
  }

  private readonly isIn = (channel: string) => (message: SentMessage) =>
    message.channelId === channel && !message.deleted;

  private byNonce(channel: string, body: Json): SentMessage | undefined {
    if (body.nonce === undefined) return undefined;
    if (typeof body.nonce !== 'string' || body.nonce.length > 25)
      throw invalid('nonce of 25 characters at most');
    const earlier = this.nonces.get(`${channel}/${body.nonce}`);
    return body.enforce_nonce === true && earlier && Date.now() - earlier.at < NONCE_MS
      ? earlier.message
      : undefined;
  }

  private check(body: Json, files: Upload[]): Version {
    const content = body.content === undefined ? '' : body.content;
    if (typeof content !== 'string') throw invalid('content is no text');
    if (content.length > LONGEST) throw invalid(`content of ${content.length} characters`);
    if (files.some(({ bytes }) => bytes > LARGEST))
      throw new ApiError(413, 40_005, 'Request entity too large');
    const buttons = buttonsOf(body);
    if (content.trim() === '' && files.length === 0 && buttons.length === 0) {
      throw new ApiError(400, 50_006, 'Cannot send an empty message');
    }
    this.notePings(content, body);
    return { at: Date.now(), content, body };
  }

  /** Whom a message reaches: without `allowed_mentions` everybody that it names. */
  private notePings(content: string, body: Json): void {
    const allowed = body.allowed_mentions === undefined ? undefined : object(body.allowed_mentions);
    const may = (kind: string) => !allowed || list(allowed.parse).includes(kind);
    const prose = content.replace(/```[\s\S]*?```|`[^`\n]*`/g, '');
    for (const [mention, everyone] of prose.matchAll(/@(everyone|here)|<@[!&]?\d+>/g)) {
      const kind = everyone ? 'everyone' : mention.startsWith('<@&') ? 'roles' : 'users';
      if (may(kind)) this.pings.push({ content, who: mention });
    }
    if (body.message_reference && allowed?.replied_user !== false) {
      this.pings.push({ content, who: 'the one who is answered' });
    }
  }

  private replyTo(channel: string, reference: Json): string | undefined {
    if (typeof reference.message_id !== 'string') return undefined;
    const exists = [...(this.written.get(channel) ?? []), ...this.sent].some(
      ({ id }) => id === reference.message_id,
    );
    if (exists) return reference.message_id;
    if (reference.fail_if_not_exists !== false) throw invalid('message_reference: Unknown message');
    return undefined;
  }
}

function buttonsOf(body: Json): string[][] {
  const rows = list(body.components).map((row) => list(object(row).components).map(object));
  if (rows.length > 5 || rows.some((row) => row.length < 1 || row.length > 5))
    throw invalid('five rows of five buttons');
  for (const { type, label, custom_id: id } of rows.flat()) {
    if (type !== 2) throw invalid('component of an unknown type');
    if (typeof label !== 'string' || label.length > 80) throw invalid('label of 80 characters at most');
    if (typeof id !== 'string' || id.length < 1 || id.length > 100)
      throw invalid('custom_id of 1 to 100 characters');
  }
  const ids = rows.map((row) => row.map((button) => String(button.custom_id)));
  if (new Set(ids.flat()).size !== ids.flat().length) throw invalid('custom_id twice');
  return ids;
}
