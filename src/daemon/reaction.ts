/** A sign on a message that takes long to answer, taken back when it is answered. */
import type { Adapter } from '../adapters/adapter.ts';
import type { ConversationId } from '../message.ts';

/** Work that is shorter needs no sign: the answer is one. */
const AFTER_MS = 2_000;

export interface Reaction {
  begin(): void;
  end(): void;
}

export function createReaction(adapter: Adapter, conversation: ConversationId, messageId: string): Reaction {
  let timer: NodeJS.Timeout | undefined;
  let shown: Promise<void> | undefined;
  return {
    begin() {
      timer = setTimeout(() => {
        shown = adapter.react?.(conversation, messageId, true);
      }, AFTER_MS);
    },
    end() {
      clearTimeout(timer);
      // After it, not beside it: the two could swap places on the way.
      void shown?.then(() => adapter.react?.(conversation, messageId, false));
    },
  };
}
