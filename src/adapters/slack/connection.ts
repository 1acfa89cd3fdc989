/**
 * One socket of Socket Mode, with Bolt's receiver: open ─▶ hello ─▶ envelopes ─▶ ended.
 *
 * Bolt acknowledges events before anybody has seen them, and its client leaves five seconds and more between two
 * sockets, waits for ever for a hello, and rejects where nobody can catch it on frames that are no envelope. So the
 * receiver serves without an app and without reconnecting, one for each socket, and reads only what it can read.
 */
import { withDeadline } from '../deadline.ts';
import { isObject } from '../network.ts';
import { CallError, clientOptions, silent } from './api.ts';
import type { Envelope } from './inbound.ts';
import type { Timing } from './timing.ts';

export interface Connection {
  /** Resolves when a new connection is called for: this one is closed, or Slack says that it soon will be. */
  readonly ended: Promise<Ended>;
  /** Ends it, whether or not the other side plays along. */
  close(): void;
}

/** `warning` and `refresh_requested` leave time for the next; `link_disabled` is Socket Mode switched off. */
export type Ended = { kind: 'closed' } | { kind: 'asked'; reason: string };

/** Resolves once it is sent; when it could not be, Slack repeats the envelope. */
export type Acknowledge = () => Promise<void>;

export interface ConnectionOptions {
  appToken: string;
  apiUrl: URL;
  timing: Timing;
  /** Gives up opening. */
  signal: AbortSignal;
  onEnvelope(envelope: Envelope, acknowledge: Acknowledge): void;
  onUnreadable(): void;
}

/** Resolves with Slack's hello. Rejects with a {@link CallError}. */
export async function openConnection(options: ConnectionOptions): Promise<Connection> {
  const { appToken, apiUrl, timing, onEnvelope, onUnreadable } = options;
  const { SocketModeReceiver } = await import('@slack/bolt');
  const opening = new AbortController();
  const { client } = new SocketModeReceiver({
    appToken,
    autoReconnectEnabled: false,
    clientPingTimeout: timing.pongMs,
    serverPingTimeout: timing.pingMs,
    logger: silent,
    installerOptions: { clientOptions: clientOptions(apiUrl, opening.signal) },
  });

  // Its address may come when nobody wants the socket any more.
  client.on('authenticated', () => opening.signal.throwIfAborted());

  let end: (ended: Ended) => void = () => undefined;
  const ended = new Promise<Ended>((resolve) => {
    end = resolve;
  });
  client.once('disconnected', () => end({ kind: 'closed' }));

  const read = client.listeners('ws_message');
  client.removeAllListeners('ws_message');
  client.on('ws_message', (data: unknown, isBinary: unknown) => {
    const frame = isBinary ? undefined : parse(data);
    if (frame?.type === 'disconnect') return end({ kind: 'asked', reason: String(frame.reason) });
    // The library emits an event by its type: not one that it listens to itself.
    const readable = frame && isReadable(frame, (name) => client.listenerCount(name) > 0);
    if (!readable) return onUnreadable();
    for (const listener of read) Promise.resolve(listener(data, false)).catch(onUnreadable);
  });

  client.on('slack_event', ({ type, envelope_id, body, ack }) => {
    onEnvelope({ id: String(envelope_id), type: String(type), payload: body }, () => ack());
  });

  function close(): void {
    opening.abort();
    // Asked again, it does not wait for the other side's goodbye, nor keep a timer for it.
    void client.disconnect();
    void client.disconnect();
  }

  try {
    await withDeadline(timing.connectMs, options.signal, async () => {
      try {
        await client.start();
      } catch (error) {
        throw error ?? new Error('the socket closed before its hello');
      }
    });
  } catch (error) {
    const failed = CallError.of(error, 'connect', 'appToken');
    close();
    throw failed;
  }
  return { ended, close };
}

function parse(data: unknown): Record<string, unknown> | undefined {
  try {
    const frame: unknown = JSON.parse(String(data));
    return isObject(frame) ? frame : undefined;
  } catch {
    return undefined;
  }
}

/** Whether the library gets through a frame: it looks for an event's type without a look whether there is an event. */
function isReadable(frame: Record<string, unknown>, isTaken: (name: string) => boolean): boolean {
  const { type, envelope_id: id, payload } = frame;
  if (type === 'hello') return true;
  if (typeof id !== 'string' || !isObject(payload)) return false;
  if (type === 'slash_commands' || type === 'interactive') return true;
  if (type !== 'events_api' || !isObject(payload.event)) return false;
  return typeof payload.event.type === 'string' && !isTaken(payload.event.type);
}
