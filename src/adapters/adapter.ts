/** The contract of a channel. One file in this folder and one line in index.ts add a platform. */

import type { Log } from '../log.ts';
import type { Attachment, ConversationId, Inbound, Outbound } from '../message.ts';

/**
 * Hands a message to the daemon. Resolves when it is on disk, and only then may the adapter acknowledge it to the
 * platform. Receiving the same (channel, account, messageId) again is harmless. Rejects only when the disk failed:
 * the adapter must then not acknowledge.
 */
export type Receive = (inbound: Inbound) => Promise<void>;

/** The rates at which a platform lets us write; `kimi` waits rather than be refused. */
export interface RateLimits {
  /** Least time between two writes to one chat, in milliseconds. */
  chatIntervalMs: number;
  /** Writes to one group within a minute. */
  groupPerMinute?: number;
  /** Writes within a second, all chats together. */
  perSecond?: number;
}

/** What a channel says of itself in `kimi status`. */
export interface ChannelHealth {
  state: 'starting' | 'connected' | 'retrying' | 'refused' | 'stopped';
  /** Since when it is in that state, in milliseconds since the epoch. */
  since: number;
  lastMessageAt?: number;
  /** The last thing that went wrong, with what to do. Never holds a token. */
  lastError?: string;
  /** Who we are on that platform: `@kimi_bot`. */
  identity?: string;
}

/** A command as platforms register it natively. */
export interface CommandInfo {
  name: string;
  description: string;
}

/** What an adapter must know again after a restart: a few texts by name. Synchronous: what was set survives a kill. */
export interface AdapterState {
  get(key: string): string | undefined;
  set(key: string, value: string): void;
  /** All whose key begins with `prefix`. */
  entries(prefix: string): [key: string, value: string][];
}

export interface AdapterContext {
  log: Log;
  /** What to register as the platform's own commands. */
  commands: readonly CommandInfo[];
  /** This channel's own. Absent: what it holds lasts as long as the adapter. */
  state?: AdapterState;
}

/**
 * A platform. Errors that cross this contract are KimiErrors: `rate_limited` with `retryAfterMs`, `network`
 * (with `outcomeUnknown` when the platform may have taken the message), `unauthorized`, `refused` (this message will
 * never be accepted), `recipient_away` (nobody is there now).
 */
export interface Adapter {
  readonly name: string;
  readonly rates: RateLimits;
  /** Least time between two edits of one message, in milliseconds; also the pace at which a streamed answer grows. */
  readonly editIntervalMs: number;
  /** Whether a growing message looks different from a finished one, so that finishing it is an edit of its own. */
  readonly marksDrafts?: boolean;
  /**
   * Connects and begins to receive. Returns at once where connecting takes long or fails for now: the adapter keeps
   * trying by itself with backoff and says how it is through {@link health}.
   */
  start(receive: Receive, context: AdapterContext): Promise<void>;
  /**
   * Cuts CommonMark into pieces that each fit one message of this platform once rendered. Greedy: a text that grows
   * at its end changes only the last piece.
   */
  split(text: string): string[];
  /** Sends one piece and returns the platform's id of the message. */
  send(outbound: Outbound, signal: AbortSignal): Promise<{ messageId: string }>;
  /** Replaces what a sent message shows. */
  edit?(messageId: string, outbound: Outbound, signal: AbortSignal): Promise<void>;
  /** Takes a sent message away. */
  remove?(conversation: ConversationId, messageId: string, signal: AbortSignal): Promise<void>;
  /** Largest files, in bytes, that the platform lets us take in and send. Absent: it knows no files. */
  readonly fileLimits?: { download: number; upload: number };
  /**
   * The bytes of an attachment that came with a message. Throws a KimiError, `refused` when it is gone. The caller
   * stops reading when it has enough.
   */
  download?(attachment: Attachment, signal: AbortSignal): Promise<AsyncIterable<Uint8Array>>;
  /** Shows or takes back a sign on somebody's message that we work on it. Best effort: never rejects. */
  react?(conversation: ConversationId, messageId: string, shown: boolean): Promise<void>;
  /** Shows, for a few seconds, that we are writing. Best effort: never rejects. */
  typing?(conversation: ConversationId): Promise<void>;
  /** False where {@link typing} shows nothing: a reply that takes long then begins as a placeholder. Default: true. */
  showsTyping?(conversation: ConversationId): boolean;
  health(): ChannelHealth;
  /** Stops receiving; what was received is on disk. Sends under way may finish. */
  stop(): Promise<void>;
}
