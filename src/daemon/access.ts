/** Who may talk to the assistant. */
import type { Config } from '../config.ts';
import type { Conversations } from '../memory/conversations.ts';
import type { People, Person } from '../memory/people.ts';
import { encodeConversation, type Inbound } from '../message.ts';

/** `reply`: the only thing a stranger is told; absent when they are told nothing. */
export type Admission = { admitted: true; person: Person } | { admitted: false; reply?: string };

export interface Access {
  admit(inbound: Inbound, now: number): Admission;
  /** Whether a message is meant for us: always in a direct chat, in a group by mention or by a rule of its own. */
  isAddressed(inbound: Inbound): boolean;
}

type Rule = Config['access']['rules'][number];

/**
 * What the configuration says of this sender here. The person's own rule counts most, then the room's, then the
 * channel's, then the general one.
 */
export function ruleFor(
  access: Config['access'],
  { conversation, sender }: Inbound,
): Required<Omit<Rule, 'match'>> {
  const { channel, chat } = conversation;
  const places = [`${channel}:${sender.id}`, `${channel}:${chat}`, channel];
  const rules = places.flatMap((place) => access.rules.filter(({ match }) => match === place));
  return {
    policy: rules.find(({ policy }) => policy !== undefined)?.policy ?? access.policy,
    mention: rules.find(({ mention }) => mention !== undefined)?.mention ?? true,
  };
}

export function createAccess(options: {
  config: () => Config;
  people: People;
  conversations: Conversations;
}): Access {
  const { config, people, conversations } = options;
  return {
    isAddressed: (inbound) =>
      inbound.addressed ||
      !ruleFor(config().access, inbound).mention ||
      (inbound.inThread === true && conversations.exists(encodeConversation(inbound.conversation))),

    admit(inbound, now) {
      const { channel } = inbound.conversation;
      const { sender } = inbound;
      const { policy } = ruleFor(config().access, inbound);
      // Whoever can open the terminal's socket is the user the daemon runs as.
      if (channel === 'terminal')
        return { admitted: true, person: people.ensure(channel, sender, 'owner', now) };
      if (policy === 'deny') return { admitted: false };
      const known = people.find(channel, sender.id);
      if (known?.pairedAt || policy === 'open' || config().access.allow.includes(`${channel}:${sender.id}`)) {
        return { admitted: true, person: people.ensure(channel, sender, 'member', now) };
      }
      // Who proves to be somebody we know is let in to say so.
      if (people.linkHolds(linkCode(inbound.text), now)) {
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

/** The code in `/link CODE`; empty in any other text. */
function linkCode(text: string): string {
  return /^\/link\s+(\S+)\s*$/.exec(text)?.[1] ?? '';
}
