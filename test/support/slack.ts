/**
 * Slack's Web API and Socket Mode on loopback, for one app in one workspace: sends events again until they are
 * acknowledged, checks what is sent as strictly as the real one, remembers all of it, and misbehaves on demand. It
 * lives in the process that started it, so it outlives a daemon that is killed and started again.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { ApiError, answer, Limited, type Params, readParams, refuse } from './slack/api.ts';
import { Files, type StoredFile } from './slack/files.ts';
import { Messages, type SentMessage } from './slack/messages.ts';
import { type Envelope, type SocketFault, Sockets } from './slack/sockets.ts';

export type { SentMessage } from './slack/messages.ts';

export interface SlackServerOptions {
  /** Answers 429 to more than one post a second in a channel. */
  enforceRates?: boolean;
  /** How long an event may go without acknowledgement before it is sent again. 3 s on the real platform. */
  acknowledgeMs?: number;
  /** Whether statuses of an assistant may be shown. */
  statuses?: boolean;
}

export interface Call {
  method: string;
  at: number;
  params: Params;
}

/** What a call is answered instead of its result. All but `lost` keep it from having its effect. */
export type Fault =
  | { kind: 'limit'; retryAfter: number | undefined }
  | { kind: 'error'; error: string; more?: Record<string, unknown> }
  /** A status and a page of HTTP. */
  | { kind: 'http'; status: number }
  /** The head of an answer and a part of its body, then the connection ends. */
  | { kind: 'cut' }
  /** The connection ends before any answer, although the call took effect. */
  | { kind: 'lost' }
  /** No answer ever, until the other side gives up. */
  | { kind: 'silence' }
  /** A body that is no answer. */
  | { kind: 'garbage'; body: string };

export interface SayOptions {
  /** Default: the direct chat with the person. `C…` are channels. */
  channel?: string;
  thread?: string;
  files?: Omit<StoredFile, 'id'>[];
  /** Further fields of the event, or other values for its own. */
  more?: Record<string, unknown>;
  /** With a mention, the event of the mention comes before that of the message. */
  mentionFirst?: boolean;
}

export interface Said {
  channel: string;
  ts: string;
  envelopes: Envelope[];
}

export interface SlackServer {
  /** What `channels.slack.apiUrl` is set to. */
  readonly apiUrl: string;
  readonly botToken: string;
  readonly appToken: string;
  readonly team: string;
  /** The bot's id as a user. */
  readonly bot: string;
  /** Everything sent, in order, each with its edits. */
  readonly sent: readonly SentMessage[];
  readonly calls: readonly Call[];
  /** Statuses that were shown: `channel:thread`. */
  readonly statuses: readonly string[];
  readonly reactions: ReadonlyMap<string, ReadonlySet<string>>;
  readonly files: Files;
  readonly sockets: Sockets;
  /** Requests and sockets that are open now. */
  readonly open: number;
  /** A person's direct chat with the bot. */
  direct(person: string): string;
  /** The bot is in a room where nobody has written yet. */
  join(channel: string): void;
  say(person: string, text: string, options?: SayOptions): Said;
  /** `/kimi text`. */
  command(person: string, text: string, channel?: string): Envelope;
  /** A person presses a button of a message. */
  press(person: string, message: SentMessage, label: string): Envelope;
  /** Any event, or garbage in its place. */
  inject(event: unknown): Envelope;
  /** Lets the next `times` calls of a method (or of any) fail. */
  misbehave(fault: Fault, options?: { method?: string; times?: number }): void;
  /** What the next sockets do instead of working. */
  misconnect(...faults: SocketFault[]): void;
  /** Ends all misbehaviour, and hangs up on those that silence keeps waiting. */
  behave(): void;
  archive(channel: string): void;
  /** From now on, a token is refused. */
  revoke(token: 'bot' | 'app', error?: string): void;
  restore(): void;
  /** Resolves with what `probe` returns once that is neither undefined, null nor false. Looked at on every change. */
  waitFor<T>(probe: () => T | undefined | null | false, what?: string, timeoutMs?: number): Promise<T>;
  /** The first message in a channel that shows a text like `matches`. */
  waitForText(channel: string, matches: RegExp, timeoutMs?: number): Promise<SentMessage>;
  close(): Promise<void>;
}

interface PlannedFault {
  fault: Fault;
  method: string | undefined;
  left: number;
}

export async function startSlack(options: SlackServerOptions = {}): Promise<SlackServer> {
  const botToken = 'xoxb-1-test-thatMustNeverBeLogged00';
  const appToken = 'xapp-1-test-thatMustNeverBeLogged00';
  const team = 'T0KIMI';
  const bot = 'U0KIMI';
  const waiters = new Set<() => void>();
  const changed = (): void => {
    for (const look of [...waiters]) look();
  };
  let origin = '';
  const messages = new Messages(options.enforceRates ?? false);
  const files = new Files(() => origin, botToken);
  const sockets = new Sockets({ acknowledgeMs: options.acknowledgeMs ?? 3_000, changed });
  const calls: Call[] = [];
  const statuses: string[] = [];
  const faults: PlannedFault[] = [];
  const held = new Set<ServerResponse>();
  const revoked = new Map<string, string>();
  let requests = 0;
  let ids = 0;

  const event = (payload: unknown): Envelope =>
    sockets.add('events_api', {
      type: 'event_callback',
      team_id: team,
      api_app_id: 'A0KIMI',
      event: payload,
      event_id: `Ev${++ids}`,
      event_time: Math.floor(Date.now() / 1_000),
      authorizations: [{ team_id: team, user_id: bot, is_bot: true }],
    });

  /** What the bot writes comes back to it. */
  function echo(message: SentMessage): void {
    const { channel, ts, threadTs } = message;
    const edited = message.versions.length > 1;
    const own = { type: 'message', user: bot, bot_id: 'B0KIMI', text: message.versions.at(-1)?.raw, ts };
    const place = { channel, channel_type: channel.startsWith('D') ? 'im' : 'channel' };
    const thread = threadTs === undefined ? {} : { thread_ts: threadTs };
    if (message.deleted) event({ type: 'message', subtype: 'message_deleted', deleted_ts: ts, ts, ...place });
    else if (edited) event({ type: 'message', subtype: 'message_changed', message: own, ts, ...place });
    else event({ ...own, ...thread, ...place });
  }

  const shape = (message: SentMessage) => {
    echo(message);
    return { channel: message.channel, ts: message.ts, message: { ts: message.ts, user: bot } };
  };

  const methods: Record<string, (params: Params) => unknown> = {
    'auth.test': () => ({
      url: origin,
      team: 'Team',
      user: 'kimi',
      team_id: team,
      user_id: bot,
      bot_id: 'B0KIMI',
    }),
    'apps.connections.open': () => ({ url: origin.replace('http', 'ws') + sockets.ticket() }),
    'chat.postMessage': (params) => shape(messages.post(params)),
    'chat.update': (params) => shape(messages.update(params)),
    'chat.delete': (params) => shape(messages.delete(params)),
    'reactions.add': (params) => messages.react(params, true),
    'reactions.remove': (params) => messages.react(params, false),
    'files.getUploadURLExternal': (params) => files.announce(params),
    'files.completeUploadExternal'(params) {
      const shared = files.complete(params);
      const caption = params.initial_comment ?? '';
      if (params.channel_id) echo(messages.share(params.channel_id, params.thread_ts, caption, shared));
      return { files: shared.map((id) => ({ id })) };
    },
    'files.info': (params) => files.info(params),
    'files.delete': (params) => files.delete(params),
    'assistant.threads.setStatus'(params) {
      if (!(options.statuses ?? true)) throw new ApiError('missing_scope', { needed: 'assistant:write' });
      statuses.push(`${params.channel_id}:${params.thread_ts}`);
    },
  };

  function authorize(method: string, given: string | undefined): void {
    const token = given?.replace(/^Bearer /, '');
    const wanted = method.startsWith('apps.') ? appToken : botToken;
    if (token !== botToken && token !== appToken) throw new ApiError(token ? 'invalid_auth' : 'not_authed');
    if (token !== wanted) throw new ApiError('not_allowed_token_type');
    const refusal = revoked.get(token);
    if (refusal) throw new ApiError(refusal);
  }

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (await files.serve(request, response)) return;
    const method = /^\/api\/([\w.]+)$/.exec(request.url ?? '')?.[1] ?? '';
    try {
      const params = await readParams(request);
      calls.push({ method, at: Date.now(), params });
      const run = (): unknown => {
        authorize(method, request.headers.authorization);
        const found = methods[method];
        if (!found) throw new ApiError('unknown_method');
        return found(params);
      };
      const fault = takeFault(faults, method);
      if (fault) return await misbehave(fault, response, run);
      answer(response, 200, { ok: true, ...(run() as object | undefined) });
    } catch (error) {
      refuse(response, error);
    }
  }

  async function misbehave(fault: Fault, response: ServerResponse, run: () => unknown): Promise<void> {
    switch (fault.kind) {
      case 'limit':
        if (fault.retryAfter !== undefined) throw new Limited(fault.retryAfter);
        return answer(response, 429, { ok: false, error: 'ratelimited' });
      case 'error':
        throw new ApiError(fault.error, fault.more);
      case 'http':
        response.writeHead(fault.status, { 'content-type': 'text/html' }).end('<html><h1>Oops</h1></html>');
        return;
      case 'cut':
        response.writeHead(200, { 'content-type': 'application/json', 'content-length': '1000' });
        response.write('{"ok":true,"cha');
        await sleep(5);
        response.destroy();
        return;
      case 'lost':
        run();
        response.destroy();
        return;
      case 'silence':
        held.add(response);
        response.once('close', () => held.delete(response));
        return;
      case 'garbage':
        response.writeHead(200, { 'content-type': 'application/json' }).end(fault.body);
    }
  }

  const server = createServer((request, response) => {
    requests++;
    response.once('close', () => {
      requests--;
      changed();
    });
    handle(request, response)
      .catch(() => response.destroy())
      .finally(changed);
  });
  server.on('upgrade', (request, socket, head) => sockets.upgrade(request, socket, head));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

  const waitFor: SlackServer['waitFor'] = (probe, what = probe.toString(), timeoutMs = 30_000) =>
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

  const direct = (person: string): string => `D${person.slice(1)}`;

  return {
    apiUrl: `${origin}/api`,
    botToken,
    appToken,
    team,
    bot,
    sent: messages.sent,
    calls,
    statuses,
    reactions: messages.reactions,
    files,
    sockets,
    get open() {
      return requests + sockets.open;
    },
    direct,
    join: (channel) => void messages.nextTs(channel),
    say(person, text, { channel = direct(person), thread, files: attached = [], more, mentionFirst } = {}) {
      const ts = messages.nextTs(channel);
      const content = {
        user: person,
        text,
        ts,
        event_ts: ts,
        channel,
        ...(thread !== undefined && { thread_ts: thread }),
        ...(attached.length > 0 && { files: attached.map((file) => files.shape(files.add(file))) }),
      };
      const type = channel.startsWith('D') ? 'im' : 'channel';
      const subtype = attached.length > 0 ? { subtype: 'file_share' } : {};
      const message = () => event({ type: 'message', channel_type: type, ...subtype, ...content, ...more });
      const mention = () => event({ type: 'app_mention', ...content, ...more });
      if (type === 'im' || !text.includes(`<@${bot}`)) return { channel, ts, envelopes: [message()] };
      const both = mentionFirst ? [mention, message] : [message, mention];
      return { channel, ts, envelopes: both.map((send) => send()) };
    },
    command(person, text, channel = direct(person)) {
      messages.nextTs(channel);
      return sockets.add('slash_commands', {
        command: '/kimi',
        text,
        user_id: person,
        user_name: `person-${person}`,
        channel_id: channel,
        channel_name: channel.startsWith('D') ? 'directmessage' : 'general',
        team_id: team,
        trigger_id: `trigger-${++ids}`,
        response_url: `${origin}/commands`,
      });
    },
    press(person, { channel, ts, threadTs, buttons }, label) {
      const pressed = buttons.find((button) => button.label === label);
      if (!pressed) throw new Error(`no button ${JSON.stringify(label)}`);
      return sockets.add('interactive', {
        type: 'block_actions',
        user: { id: person, name: `person-${person}`, team_id: team },
        channel: { id: channel, name: 'somewhere' },
        container: { type: 'message', message_ts: ts, channel_id: channel },
        message: { type: 'message', user: bot, ts, ...(threadTs !== undefined && { thread_ts: threadTs }) },
        trigger_id: `trigger-${++ids}`,
        actions: [
          {
            type: 'button',
            action_id: pressed.actionId,
            block_id: 'b',
            value: pressed.value,
            text: { type: 'plain_text', text: label },
            action_ts: `${Date.now() / 1_000}`,
          },
        ],
      });
    },
    inject: event,
    misbehave: (fault, { method, times = 1 } = {}) => void faults.push({ fault, method, left: times }),
    misconnect: (...next) => void sockets.faults.push(...next),
    behave() {
      faults.length = 0;
      sockets.faults.length = 0;
      for (const response of held) response.destroy();
    },
    archive: (channel) => void messages.archived.add(channel),
    revoke: (token, error = 'token_revoked') =>
      void revoked.set(token === 'bot' ? botToken : appToken, error),
    restore: () => revoked.clear(),
    waitFor,
    waitForText: (channel, matches, timeoutMs) =>
      waitFor(
        () => messages.sent.find((one) => one.channel === channel && !one.deleted && matches.test(one.text)),
        `a message to ${channel} like ${matches}`,
        timeoutMs,
      ),
    async close() {
      sockets.close();
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
