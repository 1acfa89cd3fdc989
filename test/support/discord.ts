/**
 * Discord's REST API (v10) and gateway on loopback, for one bot: sessions that are resumed or not, rooms that keep
 * what was written in them, checks as strict as the real ones, and misbehaviour on demand. It lives in the process
 * that started it, so it outlives a daemon that is killed and started again.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { Gateway, type Plan } from './discord/gateway.ts';
import {
  ApiError,
  answer,
  flood,
  type Json,
  list,
  object,
  readBody,
  refuse,
  type Upload,
} from './discord/http.ts';
import { nextId } from './discord/ids.ts';
import { type Interaction, Interactions } from './discord/interactions.ts';
import { KIND, Messages, type Room, type SentMessage } from './discord/messages.ts';
import { Rates } from './discord/rates.ts';

export type { Plan } from './discord/gateway.ts';
export type { Interaction } from './discord/interactions.ts';
export type { SentMessage } from './discord/messages.ts';

export const GUILD = '200000000000000001';
/** A channel of the guild, and a thread in it. */
export const CHANNEL = '200000000000000002';
export const THREAD = '200000000000000003';

export interface DiscordServerOptions {
  token?: string;
  /** Answers 429 to more than Discord allows. */
  enforceRates?: boolean;
  heartbeatMs?: number;
}

export interface Call {
  method: string;
  /** Without the version: `/channels/1/messages`. */
  path: string;
  query: Record<string, string>;
  body: Json;
  at: number;
  authorization: string | undefined;
}

/** What a call is answered instead of its result. All but `lost` keep it from having its effect. */
export type Fault =
  | { kind: 'flood'; retryAfter: number; global?: boolean }
  | { kind: 'error'; status: number; code: number; message: string }
  /** A gateway's page instead of an answer. */
  | { kind: 'gateway' }
  /** The head of an answer and a part of its body, then the connection ends, or nothing more comes. */
  | { kind: 'cut' }
  | { kind: 'stall' }
  /** The connection ends before any answer, although the call took effect. */
  | { kind: 'lost' }
  /** No answer ever, until the other side gives up. */
  | { kind: 'silence' }
  /** A body that is no answer. */
  | { kind: 'garbage'; body: string };

export interface SayOptions {
  /** Default: the direct chat with the person. */
  channel?: string;
  /** Further fields of the event, or other values for its own. */
  more?: Json;
  /** Only stored, as if the gateway had lost it. */
  silently?: boolean;
}

export interface DiscordServer {
  /** What `channels.discord.apiUrl` is set to. */
  readonly apiUrl: string;
  readonly token: string;
  readonly bot: { id: string; username: string };
  readonly applicationId: string;
  /** Everything that the bot sent, in order, each with its edits. */
  readonly sent: readonly SentMessage[];
  /** Mentions that reached somebody. */
  readonly pings: Messages['pings'];
  readonly calls: readonly Call[];
  readonly interactions: readonly Interaction[];
  readonly commands: readonly Json[];
  readonly counts: Gateway['counts'];
  readonly intents: readonly number[];
  /** Calls that came before they were allowed to. */
  readonly premature: Rates['refused'];
  /** Connections to the gateway now. */
  readonly connections: number;
  /** Requests that wait for an answer now, and connections. */
  readonly open: number;
  /** The direct chat with a person. */
  chatOf(person: string): string;
  say(person: string, text: string, options?: SayOptions): { messageId: string; channelId: string };
  /** A person uses a command. */
  command(person: string, name: string, text?: string, channel?: string): Interaction;
  /** A person presses a button. */
  press(person: string, customId: string, channel?: string): Interaction;
  /** From now on, the interaction's token is refused. */
  expire(interaction: Interaction): void;
  /** Sends an event of any kind to the sessions. */
  dispatch(type: string, data: unknown): void;
  /** Puts anything at all on the gateway's wire. */
  inject(frame: unknown): void;
  /** Meets the next connections to the gateway so. */
  meet(...plans: Plan[]): void;
  /** Closes the gateway's connections with a code; 1006 cuts them. */
  disconnect(code: number): void;
  /** From now on, no session can be resumed. */
  forgetSessions(): void;
  /** Whether heartbeats are acknowledged. */
  acknowledgeHeartbeats(yes: boolean): void;
  /** Lets the next `times` calls fail, of a method or path (or of any). */
  misbehave(fault: Fault, options?: { match?: RegExp; times?: number }): void;
  /** Ends all misbehaviour, and hangs up on those that silence keeps waiting. */
  behave(): void;
  reactions(channelId: string, messageId: string): readonly string[];
  /** Offers a file, and returns its address. */
  offer(name: string, bytes: Uint8Array): string;
  withdraw(name: string): void;
  /** From now on, the person refuses us, or the room is closed to us. */
  block(channelId: string): void;
  /** From now on, the token is refused; until it is admitted again. */
  revoke(): void;
  admit(): void;
  /** Resolves with what `probe` returns once that is neither undefined, null nor false. Looked at on every change. */
  waitFor<T>(probe: () => T | undefined | null | false, what?: string, timeoutMs?: number): Promise<T>;
  waitForText(channelId: string, matches: RegExp, timeoutMs?: number): Promise<SentMessage>;
  close(): Promise<void>;
}

interface PlannedFault {
  fault: Fault;
  match: RegExp;
  left: number;
}

interface Request {
  body: Json;
  list: unknown[];
  files: Upload[];
  query: URLSearchParams;
}

type Route = [method: string, path: RegExp, run: (request: Request, ...parts: string[]) => unknown];

export async function startDiscord(options: DiscordServerOptions = {}): Promise<DiscordServer> {
  let token = options.token ?? 'MTAwMTAwMTAw.testTokenThat.MustNeverBeLogged00';
  const issued = token;
  const bot = { id: '100000000000000007', username: 'kimi-test' };
  const applicationId = '100000000000000008';
  const self = { ...bot, discriminator: '0', bot: true };
  const waiters = new Set<() => void>();
  const changed = (): void => {
    for (const look of [...waiters]) look();
  };
  const messages = new Messages(self);
  const interactions = new Interactions(messages);
  const rates = new Rates();
  const calls: Call[] = [];
  const faults: PlannedFault[] = [];
  const held = new Set<ServerResponse>();
  const files = new Map<string, Uint8Array>();
  let commands: Json[] = [];
  let open = 0;

  for (const [id, type, name] of [
    [CHANNEL, KIND.text, 'general'],
    [THREAD, KIND.thread, 'a thread'],
  ] as const) {
    messages.rooms.set(id, { id, type, name, guild_id: GUILD });
  }

  const gateway = new Gateway({
    token: () => token,
    heartbeatMs: options.heartbeatMs ?? 41_250,
    ready: () => ({
      v: 10,
      user: self,
      guilds: [{ id: GUILD, unavailable: true }],
      application: { id: applicationId, flags: 0 },
      resume_gateway_url: gatewayUrl(),
    }),
    afterReady: () => [{ t: 'GUILD_CREATE', d: guild() }],
    onChange: changed,
  });

  const guild = (): Json => ({
    id: GUILD,
    name: 'Guild',
    channels: [messages.rooms.get(CHANNEL)],
    threads: [messages.rooms.get(THREAD)],
    roles: [
      { id: GUILD, name: '@everyone' },
      { id: '200000000000000010', name: 'Kimi', tags: { bot_id: bot.id } },
      { id: '200000000000000011', name: 'staff' },
    ],
    members: [],
  });

  const routes: Route[] = [
    ['GET', /^\/gateway\/bot$/, () => ({ url: gatewayUrl(), shards: 1, session_start_limit: limits() })],
    ['GET', /^\/users\/@me$/, () => self],
    ['POST', /^\/users\/@me\/channels$/, ({ body }) => direct(String(body.recipient_id))],
    ['GET', /^\/channels\/(\d+)$/, (_, id = '') => messages.room(id)],
    ['GET', /^\/channels\/(\d+)\/messages$/, ({ query }, id = '') => history(id, query)],
    ['POST', /^\/channels\/(\d+)\/messages$/, ({ body, files }, id = '') => send(id, body, files)],
    [
      'PATCH',
      /^\/channels\/(\d+)\/messages\/(\d+)$/,
      ({ body, files }, id = '', message = '') => {
        messages.room(id);
        return messages.edit(messages.find(id, message), body, files);
      },
    ],
    [
      'DELETE',
      /^\/channels\/(\d+)\/messages\/(\d+)$/,
      (_, id = '', message = '') => {
        messages.find(id, message).deleted = true;
      },
    ],
    ['POST', /^\/channels\/(\d+)\/typing$/, (_, id = '') => void messages.room(id)],
    [
      'PUT',
      /^\/channels\/(\d+)\/messages\/(\d+)\/reactions\/([^/]+)\/@me$/,
      (_, id = '', message = '', emoji = '') => messages.react(id, message, decodeURIComponent(emoji), true),
    ],
    [
      'DELETE',
      /^\/channels\/(\d+)\/messages\/(\d+)\/reactions\/([^/]+)\/@me$/,
      (_, id = '', message = '', emoji = '') => messages.react(id, message, decodeURIComponent(emoji), false),
    ],
    [
      'POST',
      /^\/interactions\/(\d+)\/([^/]+)\/callback$/,
      ({ body }, id = '', key = '') => interactions.callback(id, key, body),
    ],
    [
      'POST',
      /^\/webhooks\/\d+\/([^/]+)$/,
      ({ body, files }, key = '') => interactions.webhook(key, 'POST', undefined, body, files),
    ],
    [
      'PATCH',
      /^\/webhooks\/\d+\/([^/]+)\/messages\/([^/]+)$/,
      ({ body, files }, key = '', id = '') => interactions.webhook(key, 'PATCH', id, body, files),
    ],
    [
      'DELETE',
      /^\/webhooks\/\d+\/([^/]+)\/messages\/([^/]+)$/,
      ({ body }, key = '', id = '') => interactions.webhook(key, 'DELETE', id, body, []),
    ],
    ['GET', /^\/applications\/\d+\/commands$/, () => commands],
    [
      'PUT',
      /^\/applications\/\d+\/commands$/,
      ({ list: wanted }) => {
        commands = wanted.map(readCommand);
        return commands;
      },
    ],
  ];

  const limits = () => ({ total: 1_000, remaining: 999, reset_after: 14_400_000, max_concurrency: 1 });
  const port = (): number => (server.address() as AddressInfo).port;
  const gatewayUrl = (): string => `ws://127.0.0.1:${port()}/gateway`;

  function direct(person: string): Room {
    const id = chatOf(person);
    const room: Room = messages.rooms.get(id) ?? { id, type: KIND.direct, recipients: [{ id: person }] };
    messages.rooms.set(id, room);
    return room;
  }

  function send(channel: string, body: Json, uploads: Upload[]): Json {
    const { message, again } = messages.send(channel, body, uploads);
    // The bot hears itself, as everybody in the room does.
    if (!again) gateway.dispatch('MESSAGE_CREATE', eventOf(message));
    return message;
  }

  const history = (id: string, query: URLSearchParams): unknown[] =>
    messages.after(id, query.get('after') ?? '0', Number(query.get('limit') ?? 50));

  /** What events tell of a message beyond what the API lists. */
  function eventOf(message: Json): Json {
    const { type, guild_id } = messages.room(String(message.channel_id));
    return { ...message, channel_type: type, ...(guild_id !== undefined && { guild_id }) };
  }

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '', 'http://127.0.0.1');
    const method = request.method ?? '';
    const { authorization } = request.headers;
    const path = url.pathname.replace(/^\/api\/v10/, '');
    const parsed = await readBody(request);
    const body = object(parsed.body);
    const query = Object.fromEntries(url.searchParams);
    calls.push({ method, path, query, body, at: Date.now(), authorization });
    if (url.pathname.startsWith('/files/')) return serve(url.pathname.slice(7), response);
    const fault = takeFault(faults, `${method} ${path}`);
    const run = (): unknown => {
      const open = /^\/(?:webhooks|interactions)\//.test(path);
      if (!open && authorization !== `Bot ${token}`) throw new ApiError(401, 0, '401: Unauthorized');
      const route = routes.find(([verb, pattern]) => verb === method && pattern.test(path));
      if (!route) throw new ApiError(404, 0, '404: Not Found');
      const parts = route[1].exec(path)?.slice(1) ?? [];
      return route[2](
        { body, list: list(parsed.body), files: parsed.files, query: url.searchParams },
        ...parts,
      );
    };
    try {
      if (fault) return await misbehave(fault, response, run);
      const bucket = `${method} ${path.replace(/(messages|callback)\/.*$/, '$1')}`;
      const headers = options.enforceRates && method !== 'GET' ? rates.count(bucket) : {};
      answer(response, 200, run(), headers);
    } catch (error) {
      refuse(response, error);
    }
  }

  function serve(name: string, response: ServerResponse): void {
    const bytes = files.get(name);
    response.writeHead(bytes ? 200 : 404, { 'content-type': 'application/octet-stream' });
    response.end(bytes);
  }

  async function misbehave(fault: Fault, response: ServerResponse, run: () => unknown): Promise<void> {
    switch (fault.kind) {
      case 'flood':
        throw flood(fault.retryAfter, fault.global ?? false);
      case 'error':
        throw new ApiError(fault.status, fault.code, fault.message);
      case 'gateway':
        response.writeHead(502, { 'content-type': 'text/html' }).end('<html><h1>502 Bad Gateway</h1></html>');
        return;
      case 'cut':
      case 'stall':
        response.writeHead(200, { 'content-type': 'application/json', 'content-length': '1000' });
        response.write('{"id":"1');
        if (fault.kind === 'stall') return hold(response);
        await sleep(5);
        response.destroy();
        return;
      case 'lost':
        run();
        response.destroy();
        return;
      case 'silence':
        return hold(response);
      case 'garbage':
        response.writeHead(200, { 'content-type': 'application/json' }).end(fault.body);
    }
  }

  function hold(response: ServerResponse): void {
    held.add(response);
    response.once('close', () => held.delete(response));
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
  gateway.attach(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));

  const waitFor: DiscordServer['waitFor'] = (probe, what = probe.toString(), timeoutMs = 30_000) =>
    new Promise((resolve, reject) => {
      const finish = (): void => {
        clearTimeout(deadline);
        clearInterval(regular);
        waiters.delete(look);
      };
      const look = (): void => {
        const found = probe();
        if (found === undefined || found === null || found === false) return;
        finish();
        resolve(found);
      };
      const deadline = setTimeout(() => {
        finish();
        reject(new Error(`waited ${timeoutMs} ms in vain for ${what}`));
      }, timeoutMs);
      // Some of what is waited for happens on the other side, without a word to us.
      const regular = setInterval(look, 10);
      waiters.add(look);
      look();
    });

  const person = (id: string): Json => ({
    id,
    username: `person${id}`,
    global_name: `Person ${id}`,
    bot: false,
  });

  function interact(by: string, channel: string | undefined, kind: Json): Interaction {
    const room = channel === undefined ? direct(by) : messages.room(channel);
    const interaction = interactions.create(room.id);
    const user = person(by);
    gateway.dispatch('INTERACTION_CREATE', {
      id: interaction.id,
      token: interaction.token,
      application_id: applicationId,
      version: 1,
      channel_id: room.id,
      channel: room,
      ...(room.guild_id ? { guild_id: room.guild_id, member: { user, nick: null } } : { user }),
      ...kind,
    });
    return interaction;
  }

  return {
    apiUrl: `http://127.0.0.1:${port()}/api`,
    token: issued,
    bot,
    applicationId,
    sent: messages.sent,
    pings: messages.pings,
    calls,
    interactions: interactions.all,
    get commands() {
      return commands;
    },
    counts: gateway.counts,
    intents: gateway.intents,
    premature: rates.refused,
    get connections() {
      return gateway.connections;
    },
    get open() {
      return open + gateway.connections;
    },
    chatOf,
    say(by, text, { channel, more = {}, silently = false } = {}) {
      const room = channel === undefined ? direct(by) : messages.room(channel);
      const message = {
        id: nextId(),
        channel_id: room.id,
        type: 0,
        author: person(by),
        content: text,
        timestamp: new Date().toISOString(),
        mentions: mentionsIn(text).map((id) => (id === bot.id ? self : person(id))),
        mention_roles: [...text.matchAll(/<@&(\d+)>/g)].map(([, id]) => id),
        mention_everyone: text.includes('@everyone'),
        attachments: [],
        embeds: [],
        ...(room.guild_id && { member: { nick: null, roles: [] } }),
        ...more,
      };
      messages.add(message);
      if (!silently) gateway.dispatch('MESSAGE_CREATE', eventOf(message));
      return { messageId: message.id, channelId: room.id };
    },
    command: (by, name, text, channel) =>
      interact(by, channel, {
        type: 2,
        data: {
          id: '300000000000000001',
          type: 1,
          name,
          options: text === undefined ? [] : [{ type: 3, name: 'text', value: text }],
        },
      }),
    press: (by, customId, channel) =>
      interact(by, channel, { type: 3, data: { custom_id: customId, component_type: 2 } }),
    expire: ({ id }) => void interactions.expired.add(id),
    dispatch: (type, data) => gateway.dispatch(type, data),
    inject: (frame) => gateway.inject(frame),
    meet: (...plans) => void gateway.plans.push(...plans),
    disconnect: (code) => gateway.close(code),
    forgetSessions: () => gateway.forget(),
    acknowledgeHeartbeats(yes) {
      gateway.acknowledges = yes;
    },
    misbehave: (fault, { match = /^/, times = 1 } = {}) => void faults.push({ fault, match, left: times }),
    behave() {
      faults.length = 0;
      gateway.plans.length = 0;
      for (const response of held) response.destroy();
    },
    reactions: (channel, id) => [...messages.reactions(channel, id)],
    offer(name, bytes) {
      files.set(name, bytes);
      return `http://127.0.0.1:${port()}/files/${name}`;
    },
    withdraw: (name) => void files.delete(name),
    block: (id) => void messages.blocked.add(id),
    revoke() {
      token = 'another';
      gateway.forget();
      gateway.close(4_004);
    },
    admit() {
      token = issued;
    },
    waitFor,
    waitForText: (channel, matches, timeoutMs) =>
      waitFor(
        () =>
          messages.sent.find((one) => one.channelId === channel && !one.deleted && matches.test(one.content)),
        `a message in ${channel} like ${matches}`,
        timeoutMs,
      ),
    async close() {
      gateway.shutDown();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** The direct chat with a person: another id, made of theirs. */
function chatOf(person: string): string {
  return `5${person.slice(1)}`;
}

const mentionsIn = (text: string): string[] => [...text.matchAll(/<@!?(\d+)>/g)].map(([, id = '']) => id);

function takeFault(faults: PlannedFault[], call: string): Fault | undefined {
  const planned = faults.find(({ match }) => match.test(call));
  if (!planned) return undefined;
  planned.left--;
  if (planned.left <= 0) faults.splice(faults.indexOf(planned), 1);
  return planned.fault;
}

/** As the API returns it: with an id, and with more than it was given. */
function readCommand(value: unknown): Json {
  const { name, description, options } = object(value);
  if (!/^[-_\p{Ll}\p{Lo}\p{N}]{1,32}$/u.test(String(name)) || !description) {
    throw new ApiError(400, 50_035, 'Invalid Form Body');
  }
  return { id: nextId(), type: 1, version: nextId(), nsfw: false, name, description, options };
}
