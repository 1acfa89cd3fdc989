/** The rooms, what the bot wrote in them and what it reacted to, checked as strictly as the real server does. */
import { ApiError, checkFields, json, Limited, object, type Params } from './api.ts';
import { pingsIn, visible } from './mrkdwn.ts';

/** One state of a message: as it was sent, or after an edit. */
export interface Version {
  /** In milliseconds since the epoch. */
  at: number;
  /** As it was received. */
  raw: string;
  blocks: unknown[];
}

export interface Button {
  label: string;
  value: string;
  actionId: string;
}

export interface SentMessage {
  channel: string;
  ts: string;
  threadTs: string | undefined;
  /** What people see now: of the blocks, where there are any. */
  text: string;
  buttons: Button[];
  /** The first is the message as it was sent, the rest are its edits. */
  versions: Version[];
  /** Whom any of its versions called. */
  pings: string[];
  files: string[];
  deleted: boolean;
}

const CONTENT = ['text', 'blocks', 'parse', 'link_names'];
const POST = [...CONTENT, 'thread_ts', 'unfurl_links', 'unfurl_media', 'mrkdwn'];

export class Messages {
  readonly sent: SentMessage[] = [];
  readonly archived = new Set<string>();
  /** `channel:ts` of people's messages, and the bot's reactions to them. */
  readonly reactions = new Map<string, Set<string>>();
  private readonly rooms = new Set<string>();
  private readonly timestamps = new Set<string>();
  private readonly lastWrites = new Map<string, number>();
  private count = 0;

  constructor(private readonly enforceRates: boolean) {}

  /** The timestamp of a new message in a room, which thereby becomes known. */
  nextTs(channel: string): string {
    this.rooms.add(channel);
    const ts = `${Math.floor(Date.now() / 1_000)}.${String(++this.count).padStart(6, '0')}`;
    this.timestamps.add(`${channel}:${ts}`);
    return ts;
  }

  post(params: Params): SentMessage {
    checkFields(params, POST, ['channel']);
    const channel = this.writable(params.channel ?? '');
    const { thread_ts: threadTs } = params;
    if (threadTs !== undefined && !this.timestamps.has(`${channel}:${threadTs}`)) {
      throw new ApiError('thread_not_found');
    }
    const version = read(params, 40_000);
    this.checkRate(channel);
    return this.add(channel, threadTs, version, pingsOf(version, params));
  }

  /** A file that is shown in a room, with its caption. */
  share(channel: string, threadTs: string | undefined, caption: string, files: string[]): SentMessage {
    const version = { at: Date.now(), raw: caption, blocks: [] };
    const message = this.add(this.writable(channel), threadTs, version, pingsOf(version, {}));
    message.files = files;
    return message;
  }

  update(params: Params): SentMessage {
    checkFields(params, CONTENT, ['channel', 'ts']);
    const message = this.find(params);
    // Without `blocks`, whether they stay depends: here they do, which is the worse of the two.
    const before = message.versions.at(-1)?.blocks ?? [];
    const version = read(params, 4_000);
    if (params.blocks === undefined) version.blocks = before;
    message.versions.push(version);
    message.pings.push(...pingsOf(version, params));
    show(message, version);
    return message;
  }

  delete(params: Params): SentMessage {
    checkFields(params, [], ['channel', 'ts']);
    const message = this.find(params);
    message.deleted = true;
    return message;
  }

  react(params: Params, add: boolean): void {
    checkFields(params, [], ['channel', 'timestamp', 'name']);
    const at = `${params.channel}:${params.timestamp}`;
    if (!this.timestamps.has(at)) throw new ApiError('message_not_found');
    const names = this.reactions.get(at) ?? new Set();
    if (names.has(params.name ?? '') === add) throw new ApiError(add ? 'already_reacted' : 'no_reaction');
    if (add) names.add(params.name ?? '');
    else names.delete(params.name ?? '');
    this.reactions.set(at, names);
  }

  private add(channel: string, threadTs: string | undefined, version: Version, pings: string[]): SentMessage {
    const ts = this.nextTs(channel);
    const message = {
      channel,
      ts,
      threadTs,
      text: '',
      buttons: [],
      versions: [version],
      pings,
      files: [],
      deleted: false,
    };
    show(message, version);
    this.sent.push(message);
    return message;
  }

  private find({ channel, ts }: Params): SentMessage {
    this.writable(channel ?? '');
    const message = this.sent.find((one) => one.channel === channel && one.ts === ts && !one.deleted);
    if (!message) throw new ApiError('message_not_found');
    return message;
  }

  private writable(channel: string): string {
    if (!this.rooms.has(channel)) throw new ApiError('channel_not_found');
    if (this.archived.has(channel)) throw new ApiError('is_archived');
    return channel;
  }

  /** One post a second and channel. */
  private checkRate(channel: string): void {
    const now = Date.now();
    // One request may be quicker on its way than the one before it: some slack.
    if (this.enforceRates && now - (this.lastWrites.get(channel) ?? 0) < 900) throw new Limited(1);
    this.lastWrites.set(channel, now);
  }
}

function read(params: Params, limit: number): Version {
  const raw = params.text ?? '';
  const blocks = json(params.blocks, 'invalid_blocks') ?? [];
  if (!Array.isArray(blocks)) throw new ApiError('invalid_blocks');
  if (raw.trim() === '' && blocks.length === 0) throw new ApiError('no_text');
  if (raw.length > limit) throw new ApiError('msg_too_long');
  checkBlocks(blocks);
  return { at: Date.now(), raw, blocks };
}

/** https://docs.slack.dev/reference/block-kit/blocks */
function checkBlocks(blocks: unknown[]): void {
  const refused = (why: string): never => {
    throw new ApiError('invalid_blocks', { response_metadata: { messages: [`[ERROR] ${why}`] } });
  };
  if (blocks.length > 50) refused('no more than 50 items allowed');
  if (JSON.stringify(blocks).length > 13_200) throw new ApiError('msg_blocks_too_long');
  const actionIds = new Set<unknown>();
  for (const block of blocks.map(object)) {
    if (block.type === 'section') {
      const { type, text } = object(block.text);
      if (type !== 'mrkdwn' && type !== 'plain_text') refused('unsupported type of text');
      if (typeof text !== 'string' || text === '' || text.length > 3_000)
        refused('must be 1 to 3000 characters');
    } else if (block.type === 'actions') {
      const elements = Array.isArray(block.elements) ? block.elements.map(object) : [];
      if (elements.length === 0 || elements.length > 25) refused('must have 1 to 25 elements');
      for (const { type, action_id, value, text } of elements) {
        const { type: kind, text: label } = object(text);
        if (type !== 'button' || kind !== 'plain_text') refused('unsupported element');
        if (typeof label !== 'string' || label === '' || label.length > 75)
          refused('label of 1 to 75 characters');
        if (typeof value !== 'string' || value.length > 2_000) refused('value too long');
        if (actionIds.has(action_id)) refused('action_id is not unique');
        actionIds.add(action_id);
      }
    } else {
      refused('unsupported block');
    }
  }
}

function textsOf(blocks: unknown[]): string[] {
  return blocks.flatMap((block) => {
    const { type, text } = object(block);
    return type === 'section' ? [String(object(text).text)] : [];
  });
}

function pingsOf({ raw, blocks }: Version, { parse, link_names: linkNames }: Params): string[] {
  const names = parse === 'full' || linkNames === 'true' || linkNames === '1';
  return [raw, ...textsOf(blocks)].flatMap((text) => pingsIn(text, names));
}

function show(message: SentMessage, { raw, blocks }: Version): void {
  const texts = textsOf(blocks);
  message.text = visible(texts.length > 0 ? texts.join('\n') : raw);
  message.buttons = blocks.flatMap((block) => {
    const { type, elements } = object(block);
    return type === 'actions' && Array.isArray(elements) ? elements.map(button) : [];
  });
}

function button(element: unknown): Button {
  const { text, value, action_id: actionId } = object(element);
  return { label: String(object(text).text), value: String(value), actionId: String(actionId) };
}
