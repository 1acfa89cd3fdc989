/** Questions in a chat: asked as a message with buttons, answered by a press or by typing the option. */
import type { StoredAsk } from '../memory/asks.ts';
import { roomOf } from '../memory/outbox.ts';
import type { Person } from '../memory/people.ts';
import type { Store } from '../memory/store.ts';
import type { Question, Turn } from '../skills/skill.ts';

const DEFAULT_DEADLINE_MS = 5 * 60_000;

export interface Asks {
  /**
   * Asks, and resolves with the id of the option that was chosen; undefined when the question expired, was passed
   * over by another message, or the turn was stopped. A turn that is run again gets the answer that was given before.
   */
  ask(
    turn: Pick<Turn, 'id' | 'key' | 'person' | 'signal'>,
    number: number,
    question: Question,
  ): Promise<string | undefined>;
  /** Somebody pressed a button. Call it within a transaction, then the function it returns. */
  press(ask: string, option: string, by: Person): () => void;
  /**
   * Somebody wrote while a question was open. `answered` when that was its answer; any other words of the person who
   * was asked pass over the question. Call it within a transaction, then `afterwards`.
   */
  typed(conversation: string, text: string, by: Person): { answered: boolean; afterwards: () => void };
}

export interface AsksOptions {
  store: Store;
  /** Something waits to be sent to a room. */
  onQueued(room: string): void;
  now?: () => number;
}

export function createAsks({ store, onQueued, now = Date.now }: AsksOptions): Asks {
  const waiting = new Map<string, (answer: string | undefined) => void>();
  const nothing = () => {};

  function show(ask: StoredAsk, text: string, withButtons: boolean): void {
    const buttons = withButtons ? { ask: { id: ask.id, options: ask.options } } : {};
    store.outbox.set(`ask:${ask.id}`, ask.conversation, [{ text, ...buttons }], { final: true, now: now() });
  }

  /** Ends a question: what it shows says how. Returns what is to be done once that is committed. */
  function end(ask: StoredAsk, state: 'answered' | 'expired' | 'dismissed', option?: string): () => void {
    if (!store.asks.close(ask.id, state, option)) return nothing;
    const label = ask.options.find(({ id }) => id === option)?.label;
    const outcome = { answered: `→ ${label}`, expired: '_No answer in time._', dismissed: '_Passed over._' }[
      state
    ];
    show(ask, `${ask.text}\n\n${outcome}`, false);
    return () => {
      onQueued(roomOf(ask.conversation));
      waiting.get(ask.id)?.(option);
    };
  }

  const endNow = (ask: StoredAsk, state: 'expired' | 'dismissed') =>
    store.atomically(() => end(ask, state))();
  const mayAnswer = (ask: StoredAsk, by: Person) => by.id === ask.person || by.role === 'owner';

  function open(id: string, turn: Pick<Turn, 'key' | 'person'>, question: Question): StoredAsk {
    return store.atomically(() => {
      const before = store.asks.get(id);
      if (before) return before;
      const ask = {
        id,
        conversation: turn.key,
        person: turn.person.id,
        text: question.text,
        options: question.options,
        expiresAt: now() + (question.deadlineMs ?? DEFAULT_DEADLINE_MS),
      };
      store.asks.add(ask);
      const asked: StoredAsk = { ...ask, state: 'open', answer: null };
      show(asked, ask.text, true);
      return asked;
    });
  }

  return {
    async ask(turn, number, question) {
      const ask = open(`${turn.id}.${number}`, turn, question);
      if (ask.state !== 'open') return ask.answer ?? undefined;
      onQueued(roomOf(ask.conversation));
      const answer = new Promise<string | undefined>((resolve) => waiting.set(ask.id, resolve));
      const giveUp = (state: 'expired' | 'dismissed') => {
        endNow(ask, state);
        // Also when there was nothing to end any more: a question can be forgotten with its conversation.
        waiting.get(ask.id)?.(undefined);
      };
      const timer = setTimeout(() => giveUp('expired'), Math.max(0, ask.expiresAt - now()));
      // A daemon that drains asks again when it is back.
      const stopped = () =>
        turn.signal.reason === 'drain' ? waiting.get(ask.id)?.(undefined) : giveUp('dismissed');
      turn.signal.addEventListener('abort', stopped, { once: true });
      if (turn.signal.aborted) stopped();
      try {
        return await answer;
      } finally {
        clearTimeout(timer);
        turn.signal.removeEventListener('abort', stopped);
        waiting.delete(ask.id);
      }
    },

    press(id, option, by) {
      const ask = store.asks.get(id);
      if (ask?.state !== 'open' || !mayAnswer(ask, by)) return nothing;
      return ask.options.some((candidate) => candidate.id === option)
        ? end(ask, 'answered', option)
        : nothing;
    },

    typed(conversation, text, by) {
      const ask = store.asks.openIn(conversation);
      if (!ask || !mayAnswer(ask, by)) return { answered: false, afterwards: nothing };
      const said = text.trim().toLowerCase();
      const chosen = ask.options.find(
        ({ id, label }) => said === id.toLowerCase() || said === label.toLowerCase(),
      );
      if (chosen) return { answered: true, afterwards: end(ask, 'answered', chosen.id) };
      const passedOver = by.id === ask.person;
      return { answered: false, afterwards: passedOver ? end(ask, 'dismissed') : nothing };
    },
  };
}
