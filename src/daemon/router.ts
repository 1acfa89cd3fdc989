/** received → who may? → which lane? → inbox. What is admitted is on disk when this returns. */
import type { Receive } from '../adapters/adapter.ts';
import type { Log } from '../log.ts';
import type { Command, Lane } from '../memory/inbox.ts';
import { roomOf } from '../memory/outbox.ts';
import type { Store } from '../memory/store.ts';
import { encodeConversation, type Inbound } from '../message.ts';
import type { SkillCommand } from '../skills/skill.ts';
import { reach } from '../transition.ts';
import type { Access } from './access.ts';
import type { Asks } from './asks.ts';

export interface RouterOptions {
  store: Store;
  access: Access;
  log: Log;
  /** The commands that skills take. Text that begins with another `/word` is a message like any other. */
  command(name: string): SkillCommand | undefined;
  asks: Asks;
  /** Something waits in a conversation. */
  onReceived(conversation: string, lane: Lane): void;
  /** Something waits to be sent to a room. */
  onQueued(room: string): void;
  now?: () => number;
}

export function createRouter(options: RouterOptions): Receive {
  const { store, access, asks, log, now = Date.now } = options;

  /** Commits what came in. Returns what became of it, and what is to be done once that is on disk. */
  function commit(inbound: Inbound): { outcome: string; afterwards: () => void } {
    const at = now();
    const key = encodeConversation(inbound.conversation);
    const named = parseCommand(inbound.text);
    const known = named && options.command(named.name);
    const lane: Lane = known?.immediate ? 'now' : 'turn';

    if (!store.inbox.add(inbound, lane, known && named, at))
      return { outcome: 'duplicate', afterwards: nothing };
    const settled = (outcome: string, afterwards: () => void) => {
      store.inbox.settle(inbound, at);
      return { outcome, afterwards };
    };

    const admission = access.admit(inbound, at);
    if (!admission.admitted) {
      if (admission.reply === undefined) {
        store.inbox.discard(inbound);
        return { outcome: 'ignored', afterwards: nothing };
      }
      const pieces = [{ text: admission.reply }];
      store.outbox.set(`refused:${key}:${inbound.messageId}`, key, pieces, { final: true, now: at });
      return settled('refused', () => options.onQueued(roomOf(key)));
    }
    if (inbound.choice) {
      return settled('choice', asks.press(inbound.choice.ask, inbound.choice.option, admission.person));
    }
    const reply = lane === 'turn' ? asks.typed(key, inbound.text, admission.person) : undefined;
    if (reply?.answered) return settled('answer', reply.afterwards);
    // From here on the conversation is known to be theirs, so that /forget finds what it leads to.
    store.conversations.open(key, admission.person.id, at);
    return {
      outcome: 'received',
      afterwards() {
        reach('inbox.committed');
        reply?.afterwards();
        options.onReceived(key, lane);
      },
    };
  }

  return async (inbound) => {
    if (inbound.group && !inbound.choice && !access.isAddressed(inbound)) return;
    const { outcome, afterwards } = store.atomically(() => commit(inbound));
    log.debug(
      { conversation: encodeConversation(inbound.conversation), message: inbound.messageId, outcome },
      'message',
    );
    afterwards();
  };
}

const nothing = () => {};

/** `/name rest`, at the start of a message. */
export function parseCommand(text: string): Command | undefined {
  const match = /^\/([a-z][a-z0-9_]*)(?:\s+([\s\S]*))?$/i.exec(text.trim());
  if (!match?.[1]) return undefined;
  return { name: match[1].toLowerCase(), args: (match[2] ?? '').trim() };
}
