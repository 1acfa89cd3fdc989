/**
 * Long polling: log in ─▶ poll ─▶ convert ─▶ receive (on disk) ─▶ only then the offset moves, with the next poll.
 *
 * The library's own polling moves the offset when a handler returns and waits for a stalled request; ours does
 * neither. Nothing but a completed poll counts as a sign of life.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Api, GetUpdatesParams, UpdateType } from 'node-telegram-bot-api';
import type { Inbound } from '../../message.ts';
import type { AdapterContext, Receive } from '../adapter.ts';
import { backoff } from '../backoff.ts';
import type { HealthRecord } from '../health.ts';
import { CallError, ownError, type TelegramApi } from './api.ts';
import { registerCommands } from './commands.ts';
import { convert, kindOf, type Me, updateId } from './inbound.ts';
import type { Timing } from './timing.ts';

const UPDATES: UpdateType[] = ['message', 'edited_message', 'callback_query', 'my_chat_member'];

const CONFLICT = 'Another program polls with this token. Stop it, or give each its own bot from @BotFather.';
const WEBHOOK =
  'A webhook was set for this bot. It is deleted, so that polling works; nothing is to be done.';
const NOT_STORED =
  'A message could not be stored. Telegram keeps it and it is tried again; check the disk with `kimi doctor`.';

interface Verdict {
  state: 'retrying' | 'refused';
  message: string;
  waitMs: number;
}

export interface PollerOptions {
  api: TelegramApi;
  channel: string;
  receive: Receive;
  context: AdapterContext;
  health: HealthRecord;
  timing: Timing;
  signal: AbortSignal;
}

/** Receives until `signal` aborts. Never rejects. */
export async function poll(options: PollerOptions): Promise<void> {
  const { api, channel, receive, context, health, timing, signal } = options;
  const { log } = context;

  const call = <T>(doing: string, run: (bot: Api, abort: AbortSignal) => Promise<T>): Promise<T> =>
    api.call(doing, timing.requestMs, signal, run);

  /** Tries until it works, waiting in between as long as the trouble asks for. Undefined once stopped. */
  async function persist<T>(attempt: () => Promise<T>): Promise<T | undefined> {
    for (let failures = 1; !signal.aborted; failures++) {
      try {
        return await attempt();
      } catch (error) {
        if (signal.aborted) break;
        const { state, message, waitMs } = await judge(error, failures);
        if (health.set(state, message)) log.warn({ channel, waitMs: Math.round(waitMs) }, message);
        await sleep(waitMs, undefined, { signal }).catch(() => undefined);
      }
    }
    return undefined;
  }

  /** What to say of a failure, and how long to wait. */
  async function judge(error: unknown, failures: number): Promise<Verdict> {
    const { message, code, retryAfterMs } = ownError(error);
    if (code === 'unauthorized') return { state: 'refused', message, waitMs: timing.refusedRetryMs };
    const waitMs = retryAfterMs ?? backoff(failures, timing);
    const trouble = error instanceof CallError ? error.trouble : undefined;
    if (trouble?.kind !== 'api' || trouble.code !== 409) return { state: 'retrying', message, waitMs };
    if (!/webhook/i.test(trouble.description)) return { state: 'retrying', message: CONFLICT, waitMs };
    await call('delete the webhook', (bot, abort) =>
      bot.deleteWebhook({ drop_pending_updates: false }, abort),
    ).catch(() => undefined);
    return { state: 'retrying', message: WEBHOOK, waitMs };
  }

  function logIn(): Promise<Me> {
    return call('log in', async (bot, abort) => {
      const me = await bot.getMe(abort);
      if (!Number.isSafeInteger(me?.id)) throw new TypeError('no bot in the answer');
      return { id: me.id, username: typeof me.username === 'string' ? me.username : undefined };
    });
  }

  function fetchUpdates(offset: number | undefined): Promise<unknown[]> {
    // Until one poll was answered nobody knows whether there is a connection: that one does not wait for news.
    const seconds = health.read().state === 'connected' ? timing.pollSeconds : 0;
    const params: GetUpdatesParams = { timeout: seconds, limit: 100, allowed_updates: UPDATES };
    // Without an offset, Telegram starts with the oldest that was not acknowledged.
    if (offset !== undefined) params.offset = offset;
    return api.call('poll', seconds * 1_000 + timing.stallMs, signal, async (bot, abort) => {
      const updates: unknown = await bot.getUpdates(params, abort);
      if (!Array.isArray(updates)) throw new TypeError('no list of updates in the answer');
      if (updates.length > 0 && updates.every((update) => updateId(update) === undefined)) {
        throw new TypeError('no update in the list of updates');
      }
      return updates;
    });
  }

  /** Hands one update over. False when stopped before it was on disk. */
  async function take(update: unknown, me: Me): Promise<boolean> {
    const inbound = read(update, me);
    if (!inbound) return true;
    for (let failures = 1; !signal.aborted; failures++) {
      try {
        await receive(inbound);
        health.sawMessage();
        if (inbound.choice) acknowledgePress(inbound.messageId);
        return true;
      } catch (error) {
        const waitMs = backoff(failures, timing);
        if (health.set('retrying', NOT_STORED)) log.error({ channel, err: error }, NOT_STORED);
        await sleep(waitMs, undefined, { signal }).catch(() => undefined);
      }
    }
    return false;
  }

  /** Ends the button's waiting. Nobody waits for it: a press that is on disk counts in any case. */
  function acknowledgePress(messageId: string): void {
    const callback_query_id = messageId.slice('callback:'.length);
    call('acknowledge a button', (bot, abort) => bot.answerCallbackQuery({ callback_query_id }, abort)).catch(
      () => undefined,
    );
  }

  function read(update: unknown, me: Me): Inbound | undefined {
    try {
      const converted = convert(update, me, channel);
      if ('inbound' in converted) return converted.inbound;
      log.debug({ channel, kind: converted.ignored }, 'update ignored');
    } catch {
      log.warn({ channel, kind: kindOf(update) }, 'update could not be read and is passed over');
    }
    return undefined;
  }

  const me = await persist(logIn);
  if (!me) return;
  if (me.username !== undefined) health.identify(`@${me.username}`);
  void registerCommands({ call, context, channel });

  let offset: number | undefined;
  while (!signal.aborted) {
    const updates = await persist(() => fetchUpdates(offset));
    if (!updates) return;
    if (health.set('connected')) log.info({ channel, identity: health.read().identity }, 'connected');
    for (const update of updates) if (!(await take(update, me))) return;
    const ids = updates.flatMap((update) => updateId(update) ?? []);
    if (ids.length > 0) offset = Math.max(...ids) + 1;
  }
}
