/** The chats and what the bot wrote in them, checked as strictly as the real server does. */
import { ApiError, flood, integer, list, object, type Params, truth } from './api.ts';
import { parseTelegramHtml } from './html.ts';

/** One state of a message: as it was sent, or after an edit. */
export interface Version {
  method: 'sendMessage' | 'editMessageText';
  /** In milliseconds since the epoch. */
  at: number;
  /** As it was received, markup and all. */
  raw: string;
  parseMode: string | undefined;
  /** What people see. */
  text: string;
}

export interface SentMessage {
  chatId: number;
  messageId: number;
  threadId: number | undefined;
  /** The id of the message that it answers. */
  replyTo: number | undefined;
  /** What people see now. */
  text: string;
  /** The first is the message as it was sent, the rest are its edits. */
  versions: Version[];
  /** The labels of its buttons, and what each carries. */
  buttons: Button[];
  /** What came with it, where it is a file; `text` is the caption then. */
  file: SentFile | undefined;
  /** The bot's reactions to a message are kept by `chat:message`. */
  deleted: boolean;
}

export interface Button {
  label: string;
  data: string;
}

export interface SentFile {
  /** The part of the form that held it: `photo`, `document`. */
  as: string;
  name: string;
  bytes: Uint8Array;
}

const NOT_MODIFIED =
  'Bad Request: message is not modified: specified new message content and reply markup are exactly the same as a current content and reply markup of the message';

export class Messages {
  readonly sent: SentMessage[] = [];
  readonly blocked = new Set<number>();
  readonly reactions = new Map<string, string[]>();
  private readonly lastIds = new Map<number, number>();
  private readonly writes: { chatId: number; at: number }[] = [];

  constructor(
    private readonly bot: { id: number; username: string },
    private readonly enforceRates: boolean,
  ) {}

  /** The id of the next message in a chat, which thereby becomes known. */
  nextId(chatId: number): number {
    const id = (this.lastIds.get(chatId) ?? 0) + 1;
    this.lastIds.set(chatId, id);
    return id;
  }

  knows(chatId: number | undefined): boolean {
    return chatId !== undefined && this.lastIds.has(chatId);
  }

  send(params: Params): unknown {
    const chatId = this.writable(params);
    return this.add(chatId, params, read('sendMessage', params), undefined);
  }

  /** sendPhoto, sendDocument and their like. */
  async sendFile(as: string, params: Params): Promise<unknown> {
    const chatId = this.writable(params);
    const part = params[as];
    if (!(part instanceof File)) throw new ApiError(400, `Bad Request: there is no ${as} in the request`);
    const bytes = new Uint8Array(await part.arrayBuffer());
    if (bytes.length === 0) throw new ApiError(400, 'Bad Request: file must be non-empty');
    if (as === 'photo' && !isPhoto(bytes)) throw new ApiError(400, 'Bad Request: IMAGE_PROCESS_FAILED');
    const caption = readText('caption', params, 1_024);
    const version: Version = { method: 'sendMessage', at: Date.now(), ...caption };
    return this.add(chatId, params, version, { as, name: part.name, bytes });
  }

  react(params: Params): unknown {
    const chatId = integer(params.chat_id);
    const messageId = integer(params.message_id);
    if (!this.knows(chatId)) throw new ApiError(400, 'Bad Request: chat not found');
    const emoji = (list(params.reaction) ?? []).map((one) => String(object(one).emoji));
    this.reactions.set(`${chatId}:${messageId}`, emoji);
    return true;
  }

  private add(chatId: number, params: Params, version: Version, file: SentFile | undefined): unknown {
    const reply = object(params.reply_parameters);
    const replyTo = integer(reply.message_id);
    if (replyTo !== undefined && replyTo > (this.lastIds.get(chatId) ?? 0)) {
      if (!truth(reply.allow_sending_without_reply)) {
        throw new ApiError(400, 'Bad Request: message to be replied not found');
      }
    }
    const message: SentMessage = {
      chatId,
      messageId: this.nextId(chatId),
      threadId: integer(params.message_thread_id),
      replyTo,
      text: version.text,
      versions: [version],
      buttons: readButtons(params),
      file,
      deleted: false,
    };
    this.sent.push(message);
    return this.shape(message);
  }

  edit(params: Params): unknown {
    const message = this.find(params, 'message to edit not found');
    const version = read('editMessageText', params);
    const now = message.versions.at(-1);
    const buttons = readButtons(params);
    const same = JSON.stringify(buttons) === JSON.stringify(message.buttons);
    if (same && now?.raw === version.raw && now.parseMode === version.parseMode)
      throw new ApiError(400, NOT_MODIFIED);
    message.versions.push(version);
    message.buttons = buttons;
    message.text = version.text;
    return this.shape(message);
  }

  delete(params: Params): unknown {
    this.find(params, 'message to delete not found').deleted = true;
    return true;
  }

  private find(params: Params, absent: string): SentMessage {
    const chatId = this.writable(params);
    const messageId = integer(params.message_id);
    const message = this.sent.find(
      (one) => one.chatId === chatId && one.messageId === messageId && !one.deleted,
    );
    if (!message) throw new ApiError(400, `Bad Request: ${absent}`);
    return message;
  }

  private writable(params: Params): number {
    const chatId = integer(params.chat_id);
    if (chatId === undefined || !this.knows(chatId)) throw new ApiError(400, 'Bad Request: chat not found');
    if (this.blocked.has(chatId)) throw new ApiError(403, 'Forbidden: bot was blocked by the user');
    if (this.enforceRates) this.checkRates(chatId, Date.now());
    return chatId;
  }

  /** A second between writes in a chat, 20 a minute in a group, 30 a second in all. */
  private checkRates(chatId: number, now: number): void {
    while (this.writes[0] && this.writes[0].at < now - 60_000) this.writes.shift();
    const inChat = this.writes.filter((write) => write.chatId === chatId);
    const inLastSecond = this.writes.filter((write) => write.at > now - 1_000);
    // One request may be quicker on its way than the one before it: some slack.
    if (now - (inChat.at(-1)?.at ?? 0) < 900) throw flood(1);
    if (chatId < 0 && inChat.length >= 20)
      throw flood(Math.ceil((60_000 - (now - (inChat[0]?.at ?? now))) / 1_000));
    if (inLastSecond.length >= 30) throw flood(1);
    this.writes.push({ chatId, at: now });
  }

  private shape(message: SentMessage): unknown {
    return {
      message_id: message.messageId,
      from: { id: this.bot.id, is_bot: true, first_name: 'Kimi', username: this.bot.username },
      chat: { id: message.chatId, type: message.chatId < 0 ? 'supergroup' : 'private' },
      date: Math.floor((message.versions[0]?.at ?? 0) / 1_000),
      text: message.text,
    };
  }
}

function read(method: Version['method'], params: Params): Version {
  const version = readText('text', params, 4_096);
  if (version.text === '') throw new ApiError(400, 'Bad Request: message text is empty');
  return { method, at: Date.now(), ...version };
}

/** What platforms take for a photo: JPEG, PNG or WebP. */
function isPhoto(bytes: Uint8Array): boolean {
  const head = Buffer.from(bytes.subarray(0, 12)).toString('latin1');
  return head.startsWith('\u00ff\u00d8\u00ff') || head.startsWith('\u0089PNG') || head.slice(8) === 'WEBP';
}

function readButtons(params: Params): Button[] {
  const rows = list(object(params.reply_markup).inline_keyboard) ?? [];
  return rows.flatMap((row) =>
    (list(row) ?? []).map((value) => {
      const { text: label, callback_data: data } = object(value);
      if (typeof label !== 'string' || label === '')
        throw new ApiError(400, 'Bad Request: text buttons are unallowed');
      const bytes = typeof data === 'string' ? Buffer.byteLength(data) : 0;
      if (bytes < 1 || bytes > 64) throw new ApiError(400, 'Bad Request: BUTTON_DATA_INVALID');
      return { label, data: String(data) };
    }),
  );
}

function readText(field: string, params: Params, limit: number): Pick<Version, 'raw' | 'parseMode' | 'text'> {
  const raw = String(params[field] ?? '');
  const parseMode = params.parse_mode === undefined ? undefined : String(params.parse_mode);
  if (parseMode !== undefined && parseMode !== 'HTML')
    throw new ApiError(400, 'Bad Request: unsupported parse_mode');
  const text = (parseMode === 'HTML' ? parse(raw) : raw).trim();
  if (text.length > limit) throw new ApiError(400, `Bad Request: message ${field} is too long`);
  return { raw, parseMode, text };
}

function parse(html: string): string {
  try {
    return parseTelegramHtml(html).text;
  } catch (error) {
    throw new ApiError(400, error instanceof Error ? error.message : String(error));
  }
}
