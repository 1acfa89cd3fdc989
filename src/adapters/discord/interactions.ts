/**
 * Commands that wait for their answer. For fifteen minutes Discord takes it in the place of "Kimi is thinking…",
 * afterwards as a message of its own. Kept over restarts: the answer to a command is shown once, whoever shows it.
 */
import { z } from 'zod';
import type { AdapterState } from '../adapter.ts';

/** https://discord.com/developers/docs/interactions/receiving-and-responding#interaction-callback */
const VALID_MS = 15 * 60_000;
/** The last minute is left alone: a token must not run out on the way. */
const MARGIN_MS = 60_000;
const KEY = 'interactions';
const PREFIX = 'interaction:';

const stored = z.array(
  z.object({
    id: z.string(),
    token: z.string(),
    applicationId: z.string(),
    expiresAt: z.number(),
    /** The reply that has taken the place of the waiting sign. */
    answeredBy: z.string().optional(),
    messages: z.array(z.string()).catch([]),
  }),
);

type Waiting = z.infer<typeof stored>[number];

/** Where an answer goes. */
export interface Target {
  route: `/webhooks/${string}`;
  /** `original`: in the place of the waiting sign, over and over. `followUp`: below it. */
  as: 'original' | 'followUp';
}

export interface Interactions {
  /** A command was acknowledged, or soon will be. */
  add(command: { id: string; token: string }, applicationId: string): void;
  /** Where the answer to this message goes; undefined where it is an ordinary one, or too late. */
  targetOf(replyTo: string | undefined, idempotencyKey: string): Target | undefined;
  /** A message was shown through it. */
  shown(replyTo: string, messageId: string): void;
  /** The route by which such a message is edited; undefined for any other. */
  routeOf(messageId: string): Target['route'] | undefined;
  /** Its token was refused. */
  drop(replyTo: string): void;
}

export function createInteractions(state: AdapterState, now: () => number = Date.now): Interactions {
  let waiting: Waiting[] = read(state);

  function live(): Waiting[] {
    return waiting.filter(({ expiresAt }) => expiresAt - MARGIN_MS > now());
  }

  function save(next: Waiting[]): void {
    waiting = next;
    state.set(KEY, JSON.stringify(waiting));
  }

  const find = (replyTo: string | undefined): Waiting | undefined =>
    replyTo?.startsWith(PREFIX) ? live().find(({ id }) => PREFIX + id === replyTo) : undefined;

  function change(replyTo: string, how: (found: Waiting) => Waiting): void {
    const found = find(replyTo);
    if (found) save(live().map((one) => (one === found ? how(one) : one)));
  }

  return {
    add({ id, token }, applicationId) {
      // Offered again, it keeps its answer.
      if (waiting.some((one) => one.id === id)) return;
      save([...live(), { id, token, applicationId, expiresAt: now() + VALID_MS, messages: [] }]);
    },
    targetOf(replyTo, idempotencyKey) {
      const found = find(replyTo);
      if (!found || replyTo === undefined) return undefined;
      const webhook = `/webhooks/${found.applicationId}/${found.token}` as const;
      if (found.answeredBy === undefined) change(replyTo, (one) => ({ ...one, answeredBy: idempotencyKey }));
      else if (found.answeredBy !== idempotencyKey) return { route: webhook, as: 'followUp' };
      return { route: `${webhook}/messages/@original`, as: 'original' };
    },
    shown: (replyTo, messageId) =>
      change(replyTo, (one) => ({ ...one, messages: [...new Set([...one.messages, messageId])] })),
    routeOf(messageId) {
      const found = live().find(({ messages }) => messages.includes(messageId));
      const [, id = ''] = messageId.split(':');
      return found && `/webhooks/${found.applicationId}/${found.token}/messages/${id}`;
    },
    drop(replyTo) {
      const found = find(replyTo);
      if (found) save(live().filter((one) => one !== found));
    },
  };
}

function read(state: AdapterState): Waiting[] {
  try {
    const found = stored.safeParse(JSON.parse(state.get(KEY) || '[]'));
    return found.success ? found.data : [];
  } catch {
    return [];
  }
}
