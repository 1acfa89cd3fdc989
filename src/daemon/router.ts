/** received → who may? → which lane? → inbox. What is admitted is on disk when this returns. */
import type { Receive } from '../adapters/adapter.ts';
import type { Log } from '../log.ts';
import type { Command, Lane } from '../memory/inbox.ts';
import { roomOf } from '../memory/outbox.ts';
import type { Store } from '../memory/store.ts';
import { encodeConversation } from '../message.ts';
import type { SkillCommand } from '../skills/skill.ts';
import { reach } from '../transition.ts';
import type { Access } from './access.ts';

export interface RouterOptions {
  store: Store;
  access: Access;
  log: Log;
  /** The commands that skills take. Text that begins with another `/word` is a message like any other. */
  command(name: string): SkillCommand | undefined;
  /** Something waits in a conversation. */
  onReceived(conversation: string, lane: Lane): void;
  /** Something waits to be sent to a room. */
  onQueued(room: string): void;
  now?: () => number;
}

export function createRouter(options: RouterOptions): Receive {
  const { store, access, log, now = Date.now } = options;
  return async (inbound) => {
    if (inbound.group && !inbound.addressed) return;
    const at = now();
    const key = encodeConversation(inbound.conversation);
    const named = parseCommand(inbound.text);
    const known = named && options.command(named.name);
    const lane: Lane = known?.immediate ? 'now' : 'turn';
    const outcome = store.atomically(() => {
      const admission = access.admit(inbound, at);
      const added = store.inbox.add(inbound, lane, known && named, at, !admission.admitted);
      if (!added) return 'duplicate';
      if (admission.admitted) return 'received';
      if (admission.reply === undefined) return 'ignored';
      store.outbox.set(`refused:${key}:${inbound.messageId}`, key, [admission.reply], {
        final: true,
        now: at,
      });
      return 'refused';
    });
    log.debug({ conversation: key, message: inbound.messageId, outcome }, 'message');
    if (outcome === 'received') {
      reach('inbox.committed');
      options.onReceived(key, lane);
    }
    if (outcome === 'refused') options.onQueued(roomOf(key));
  };
}

/** `/name rest`, at the start of a message. */
export function parseCommand(text: string): Command | undefined {
  const match = /^\/([a-z][a-z0-9_]*)(?:\s+([\s\S]*))?$/i.exec(text.trim());
  if (!match?.[1]) return undefined;
  return { name: match[1].toLowerCase(), args: (match[2] ?? '').trim() };
}
