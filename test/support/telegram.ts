/**
 * Telegram's Bot API on loopback, for one bot: keeps updates until the offset moves past them, parses what is sent as
 * strictly as the real one, remembers all of it, and misbehaves on demand. It lives in the process that started it,
 * so it outlives a daemon that is killed and started again.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  ApiError,
  answer,
  flood,
  integer,
  list,
  object,
  type Params,
  readParams,
  refuse,
  truth,
} from './telegram/api.ts';
import { Messages, type SentMessage } from './telegram/messages.ts';
import { type Delivery, Updates } from './telegram/updates.ts';

export type { SentMessage, Version } from './telegram/messages.ts';

export interface TelegramServerOptions {
  token?: string;
  username?: string;
  /** Answers 429 to more than one write a second in a chat, 20 a minute in a group, 30 a second in all. */
  enforceRates?: boolean;
}

export interface Call {
  method: string;
  at: number;
  params: Params;
}

/** What a call is answered instead of its result. All but `lost` keep it from having its effect. */
export type Fault =
  | { kind: 'flood'; retryAfter: number }
  /** The API refuses: 400, 401, 403, 404, 409, 500. */
  | { kind: 'error'; code: number; description: string; parameters?: Record<string, unknown> }
  /** A gateway's page instead of an answer. */
  | { kind: 'gateway' }
  /** The head of an answer and a part of its body, then the connection ends. */
  | { kind: 'cut' }
  /** The connection ends before any answer, although the call took effect. */
  | { kind: 'lost' }
  /** No answer ever, until the other side gives up. */
  | { kind: 'silence' }
  /** A body that is no answer. */
  | { kind: 'garbage'; body: string }
  | { kind: 'result'; result: unknown };

export interface SayOptions {
  /** Default: the direct chat with the person, whose id is the person's. Negative ids are groups. */
  chat?: number;
  /** A forum's topic. */
  thread?: number;
  /** Further fields of the message, or other values for its own. */
  more?: Record<string, unknown>;
}

export interface TelegramServer {
  /** What `channels.telegram.apiRoot` is set to. */
  readonly apiRoot: string;
  readonly token: string;
  readonly bot: { id: number; username: string };
  /** Everything sent, in order, each with its edits. */
  readonly sent: readonly SentMessage[];
  readonly calls: readonly Call[];
  /** Polls that were answered. */
  readonly polls: number;
  /** Requests that wait for an answer now. */
  readonly open: number;
  /** Updates below this were acknowledged. */
  readonly offset: number;
  readonly commands: readonly { command: string; description: string }[];
  /** A person writes. Commands and mentions in the text become entities, as they do in an app. */
  say(
    person: number,
    text: string,
    options?: SayOptions,
  ): { updateId: number; messageId: number; chatId: number };
  /** The bot's reactions, by `chat:message`. */
  readonly reactions: ReadonlyMap<string, readonly string[]>;
  /** The ids of presses that were acknowledged. */
  readonly answeredPresses: readonly string[];
  /** Keeps bytes for `getFile`; returns the file's id. */
  offer(bytes: Uint8Array): string;
  /** A person presses a button; returns the press's id. */
  press(person: number, message: SentMessage, label: string): string;
  /** Puts an update of any kind, or garbage, into the queue. An object gets an `update_id` unless it has one. */
  inject(update: unknown): number;
  /** Lets the next `times` calls of a method (or of any) fail. */
  misbehave(fault: Fault, options?: { method?: string; times?: number }): void;
  /** Ends all misbehaviour, and hangs up on those that silence keeps waiting. */
  behave(): void;
  deliver(delivery: Delivery): void;
  setWebhook(url: string): void;
  /** From now on, people in this chat refuse us. */
  block(chatId: number): void;
  /** From now on, the token is refused. */
  revoke(): void;
  /** Resolves with what `probe` returns once that is neither undefined, null nor false. Looked at on every change. */
  waitFor<T>(probe: () => T | undefined | null | false, what?: string, timeoutMs?: number): Promise<T>;
  /** The first message in a chat that shows a text like `matches`. */
  waitForText(chatId: number, matches: RegExp, timeoutMs?: number): Promise<SentMessage>;
  close(): Promise<void>;
}

interface PlannedFault {
  fault: Fault;
  method: string | undefined;
  left: number;
}

type Method = (params: Params, response: ServerResponse) => unknown;

export async function startTelegram(options: TelegramServerOptions = {}): Promise<TelegramServer> {
  const token = options.token ?? '7001:AAtestTokenThatMustNeverBeLogged_00';
  const bot = { id: Number(token.split(':')[0]), username: options.username ?? 'kimi_test_bot' };
  const waiters = new Set<() => void>();
  const changed = (): void => {
    for (const look of [...waiters]) look();
  };
  const updates = new Updates(changed);
  const messages = new Messages(bot, options.enforceRates ?? false);
  const calls: Call[] = [];
  const faults: PlannedFault[] = [];
  const held = new Set<ServerResponse>();
  let commands: { command: string; description: string }[] = [];
  const files = new Map<string, Uint8Array>();
  const answeredPresses: string[] = [];
  let presses = 0;
  let polls = 0;
  let open = 0;
  let revoked = false;

  const methods: Record<string, Method> = {
    getMe: () => ({ id: bot.id, is_bot: true, first_name: 'Kimi', username: bot.username }),
    getUpdates: (params, response) => updates.get(params, (hangUp) => response.once('close', hangUp)),
    sendMessage: (params) => messages.send(params),
    editMessageText: (params) => messages.edit(params),
    deleteMessage: (params) => messages.delete(params),
    sendPhoto: (params) => messages.sendFile('photo', params),
    sendDocument: (params) => messages.sendFile('document', params),
    sendAudio: (params) => messages.sendFile('audio', params),
    sendVoice: (params) => messages.sendFile('voice', params),
    setMessageReaction: (params) => messages.react(params),
    answerCallbackQuery(params) {
      answeredPresses.push(String(params.callback_query_id));
      return true;
    },
    getFile(params) {
      const id = String(params.file_id);
      const found = files.get(id);
      if (!found)
        throw new ApiError(400, 'Bad Request: wrong file_id or the file is temporarily unavailable');
      if (found.length > 20_000_000) throw new ApiError(400, 'Bad Request: file is too big');
      return { file_id: id, file_size: found.length, file_path: `documents/${id}` };
    },
    sendChatAction(params) {
      if (!messages.knows(integer(params.chat_id))) throw new ApiError(400, 'Bad Request: chat not found');
      return true;
    },
    getMyCommands: () => commands,
    setMyCommands(params) {
      commands = (list(params.commands) ?? []).map(readCommand);
      return true;
    },
    deleteWebhook(params) {
      updates.webhook = '';
      if (truth(params.drop_pending_updates)) updates.drop();
      return true;
    },
    getWebhookInfo: () => ({ url: updates.webhook, pending_update_count: updates.pending }),
  };

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const [, owner, id = ''] = /^\/file\/bot([^/]+)\/documents\/(\w+)$/.exec(request.url ?? '') ?? [];
    if (owner !== undefined) {
      const bytes = owner === token ? files.get(id) : undefined;
      response.writeHead(bytes ? 200 : 404).end(bytes);
      return;
    }
    const [, given, method = ''] = /^\/bot([^/]+)\/(\w+)/.exec(request.url ?? '') ?? [];
    const params = await readParams(request);
    calls.push({ method, at: Date.now(), params });
    const fault = takeFault(faults, method);
    try {
      if (fault) return await misbehave(fault, response, () => methods[method]?.(params, response));
      if (given !== token || revoked) throw new ApiError(401, 'Unauthorized');
      const run = methods[method];
      if (!run) throw new ApiError(404, 'Not Found: method not found');
      answer(response, 200, { ok: true, result: await run(params, response) });
      if (method === 'getUpdates') polls++;
    } catch (error) {
      refuse(response, error);
    }
  }

  async function misbehave(fault: Fault, response: ServerResponse, run: () => unknown): Promise<void> {
    switch (fault.kind) {
      case 'flood':
        throw flood(fault.retryAfter);
      case 'error':
        throw new ApiError(fault.code, fault.description, fault.parameters);
      case 'gateway':
        response.writeHead(502, { 'content-type': 'text/html' }).end('<html><h1>502 Bad Gateway</h1></html>');
        return;
      case 'cut':
        response.writeHead(200, { 'content-type': 'application/json', 'content-length': '1000' });
        response.write('{"ok":true,"res');
        await sleep(5);
        response.destroy();
        return;
      case 'lost':
        await run();
        response.destroy();
        return;
      case 'silence':
        held.add(response);
        response.once('close', () => held.delete(response));
        return;
      case 'garbage':
        response.writeHead(200, { 'content-type': 'application/json' }).end(fault.body);
        return;
      case 'result':
        answer(response, 200, { ok: true, result: fault.result });
    }
  }

  const server = createServer((request, response) => {
    open++;
    response.once('close', () => {
      open--;
      changed();
    });
    handle(request, response)
      .catch(() => response.destroy())
      .finally(changed);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));

  const waitFor: TelegramServer['waitFor'] = (probe, what = probe.toString(), timeoutMs = 30_000) =>
    new Promise((resolve, reject) => {
      const look = (): void => {
        const found = probe();
        if (found === undefined || found === null || found === false) return;
        finish();
        resolve(found);
      };
      const finish = (): void => {
        clearTimeout(timer);
        clearInterval(elsewhere);
        waiters.delete(look);
      };
      // Probes also ask about things that change without a call to this server.
      const elsewhere = setInterval(look, 10);
      const timer = setTimeout(() => {
        finish();
        reject(new Error(`waited ${timeoutMs} ms in vain for ${what}`));
      }, timeoutMs);
      waiters.add(look);
      look();
    });

  return {
    apiRoot: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    token,
    bot,
    sent: messages.sent,
    calls,
    get polls() {
      return polls;
    },
    get open() {
      return open;
    },
    get offset() {
      return updates.offset;
    },
    get commands() {
      return commands;
    },
    say(person, text, { chat = person, thread, more } = {}) {
      const messageId = messages.nextId(chat);
      const from = { id: person, is_bot: false, first_name: `Person ${person}` };
      const message = {
        message_id: messageId,
        from,
        chat:
          chat < 0
            ? { id: chat, type: 'supergroup', title: 'Group' }
            : { id: chat, type: 'private', first_name: from.first_name },
        date: Math.floor(Date.now() / 1_000),
        ...(thread === undefined ? {} : { message_thread_id: thread, is_topic_message: true }),
        text,
        ...entitiesOf(text),
        ...more,
      };
      return { updateId: updates.add({ message }), messageId, chatId: chat };
    },
    reactions: messages.reactions,
    answeredPresses,
    offer(bytes) {
      const id = `file${files.size}`;
      files.set(id, bytes);
      return id;
    },
    press(person, message, label) {
      const data = message.buttons.find((button) => button.label === label)?.data;
      if (data === undefined) throw new Error(`no button ${label}`);
      const id = `press${presses++}`;
      const chat = { id: message.chatId, type: message.chatId < 0 ? 'supergroup' : 'private' };
      updates.add({
        callback_query: {
          id,
          from: { id: person, is_bot: false, first_name: `Person ${person}` },
          data,
          chat_instance: '1',
          message: { message_id: message.messageId, date: 0, chat, text: message.text },
        },
      });
      return id;
    },
    inject: (update) => updates.add(update),
    misbehave(fault, { method, times = 1 } = {}) {
      faults.push({ fault, method, left: times });
      // A poll that waits came before; it ends now, so that the next one meets the fault.
      updates.endPoll();
    },
    behave() {
      faults.length = 0;
      updates.deliveries.length = 0;
      for (const response of held) response.destroy();
    },
    deliver: (delivery) => void updates.deliveries.push(delivery),
    setWebhook(url) {
      updates.webhook = url;
      updates.endPoll();
    },
    block: (chatId) => void messages.blocked.add(chatId),
    revoke() {
      revoked = true;
      updates.endPoll();
    },
    waitFor,
    waitForText: (chatId, matches, timeoutMs) =>
      waitFor(
        () => messages.sent.find((one) => one.chatId === chatId && !one.deleted && matches.test(one.text)),
        `a message to ${chatId} like ${matches}`,
        timeoutMs,
      ),
    async close() {
      updates.endPoll();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function takeFault(faults: PlannedFault[], method: string): Fault | undefined {
  const planned = faults.find((one) => one.method === undefined || one.method === method);
  if (!planned) return undefined;
  planned.left--;
  if (planned.left <= 0) faults.splice(faults.indexOf(planned), 1);
  return planned.fault;
}

function readCommand(value: unknown): { command: string; description: string } {
  const { command, description } = object(value);
  if (!/^[a-z0-9_]{1,32}$/.test(String(command))) throw new ApiError(400, 'Bad Request: BOT_COMMAND_INVALID');
  return { command: String(command), description: String(description) };
}

function entitiesOf(text: string): { entities?: unknown[] } {
  const entities = [...text.matchAll(/(?<!\S)\/\w+(?:@\w+)?|(?<!\w)@\w{5,32}/g)].map((match) => ({
    type: match[0].startsWith('/') ? 'bot_command' : 'mention',
    offset: match.index,
    length: match[0].length,
  }));
  return entities.length > 0 ? { entities } : {};
}
