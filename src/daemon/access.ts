/** Who may talk to the assistant. */
import type { Config } from '../config.ts';
import type { People, Person } from '../memory/people.ts';
import { encodeConversation, type Inbound } from '../message.ts';

/** `reply`: the only thing a stranger is told; absent when they are told nothing. */
export type Admission = { admitted: true; person: Person } | { admitted: false; reply?: string };

export interface Access {
  admit(inbound: Inbound, now: number): Admission;
}

export function createAccess(options: { config: () => Config; people: People }): Access {
  const { config, people } = options;
  return {
    admit(inbound, now) {
      const { channel } = inbound.conversation;
      const { sender } = inbound;
      const { policy, allow } = config().access;
      // Whoever can open the terminal's socket is the user the daemon runs as.
      if (channel === 'terminal')
        return { admitted: true, person: people.ensure(channel, sender, 'owner', now) };
      const known = people.find(channel, sender.id);
      if (known?.pairedAt || policy === 'open' || allow.includes(`${channel}:${sender.id}`)) {
        return { admitted: true, person: people.ensure(channel, sender, 'member', now) };
      }
      if (policy === 'allowlist') return { admitted: false };
      // A code shown in a group could be approved for the wrong person.
      if (inbound.group) return { admitted: false };
      const code = people.requestPairing(channel, sender, encodeConversation(inbound.conversation), now);
      if (code === undefined) return { admitted: false };
      return {
        admitted: false,
        reply: `I don't know you yet. Whoever runs me can let you in, within an hour:\n\n\`kimi pair approve ${code}\``,
      };
    },
  };
}
