/** A reply while it grows: text → pieces → outbox, at the pace the platform bears. */
import type { Adapter } from '../adapters/adapter.ts';
import { type Piece, roomOf } from '../memory/outbox.ts';
import type { Store } from '../memory/store.ts';
import { type Attachment, decodeConversation } from '../message.ts';
import { reach } from '../transition.ts';
import type { Delivery } from './outbox.ts';

/** An answer that is complete sooner than this goes out in one piece instead of growing. */
const LONGEST_FIRST_DRAFT_MS = 500;
/** Platforms show that we are writing for about five seconds. */
const TYPING_EVERY_MS = 4_500;

/** What an answer begins as where the platform cannot show that we are writing. */
const PLACEHOLDER = '…';
const PLACEHOLDER_AFTER_MS = 1_500;

export interface Reply {
  /** Shows that an answer is coming. */
  begin(): void;
  /** What the reply would be if it ended now. Shown when the pace allows. */
  draft(text: string): void;
  /** Queues the whole reply. Call it within the transaction that ends the turn, then {@link send}. */
  complete(text: string, files: readonly Attachment[]): void;
  /** Lets delivery look at what was queued. */
  send(): void;
  /** Ends its timers: it grows no more. */
  close(): void;
}

export interface ReplyOptions {
  turn: string;
  conversation: string;
  adapter: Adapter;
  store: Store;
  delivery: Delivery;
  /** The message that is answered; the last, where there are several. */
  replyTo: string;
  now?: () => number;
}

export function createReply(options: ReplyOptions): Reply {
  const { turn, conversation, adapter, store, delivery, replyTo, now = Date.now } = options;
  const room = roomOf(conversation);
  let latest = '';
  let drafted = false;
  let closed = false;
  let pace: NodeJS.Timeout | undefined;
  let typing: NodeJS.Timeout | undefined;
  let placeholder: NodeJS.Timeout | undefined;

  const set = (text: string, final: boolean, files: readonly Attachment[] = []) =>
    store.outbox.set(turn, conversation, piecesOf(text, files), {
      final,
      now: now(),
      marksDrafts: adapter.marksDrafts ?? false,
      replyTo,
    });

  function piecesOf(text: string, files: readonly Attachment[]): Piece[] {
    const pieces: Piece[] = adapter.split(text).map((piece) => ({ text: piece }));
    return [...pieces, ...files.map((file) => ({ text: '', file }))];
  }

  function showDraft(): void {
    clearInterval(typing);
    pace = undefined;
    try {
      store.atomically(() => set(latest, false));
    } catch {
      // The next one, or the whole answer, shows the same and more; a disk that is full is said by those.
      return;
    }
    reach('draft.queued');
    delivery.kick(room);
  }

  function draft(text: string): void {
    latest = text;
    if (closed || pace !== undefined || text.trim() === '') return;
    const wait = drafted ? adapter.editIntervalMs : Math.min(adapter.editIntervalMs, LONGEST_FIRST_DRAFT_MS);
    drafted = true;
    pace = setTimeout(showDraft, wait);
  }

  function close(): void {
    closed = true;
    clearTimeout(placeholder);
    clearInterval(typing);
    clearTimeout(pace);
  }

  return {
    begin() {
      const show = () => void adapter.typing?.(decodeConversation(conversation));
      show();
      typing = setInterval(show, TYPING_EVERY_MS);
      placeholder = setTimeout(() => {
        if (!drafted && adapter.showsTyping?.(decodeConversation(conversation)) === false) draft(PLACEHOLDER);
      }, PLACEHOLDER_AFTER_MS);
    },
    draft,
    complete(text, files) {
      close();
      set(text, true, files);
    },
    send: () => delivery.kick(room),
    close,
  };
}
