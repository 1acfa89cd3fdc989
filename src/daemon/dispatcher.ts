/** turn → which skill? → its events → reply. The one boundary where a failure becomes words for a person. */
import type { Adapter } from '../adapters/adapter.ts';
import { asKimiError, KimiError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { InboxEntry, Lease } from '../memory/inbox.ts';
import type { Store } from '../memory/store.ts';
import { type Attachment, decodeConversation } from '../message.ts';
import type { Skill, SkillCommand, Turn } from '../skills/skill.ts';
import { reach } from '../transition.ts';
import type { Asks } from './asks.ts';
import type { AttachmentStore } from './attachments.ts';
import type { Delivery } from './outbox.ts';
import { createReaction } from './reaction.ts';
import { createReply } from './reply.ts';

/** A turn that was begun so often without an end is what ends the daemon: it is put aside. */
const MOST_ATTEMPTS = 100;

export interface Dispatcher {
  /** Every command that a skill takes. */
  commands(): SkillCommand[];
  command(name: string): SkillCommand | undefined;
  /** Answers a turn and records that it was. Rejects only when the record fails. */
  run(lease: Lease, signal: AbortSignal): Promise<void>;
}

export interface DispatcherOptions {
  skills: readonly Skill[];
  /** Takes what no command names. */
  fallback: Skill;
  store: Store;
  delivery: Delivery;
  asks: Asks;
  attachments: AttachmentStore;
  /** Whether a sign is put on messages that take long. */
  reactions(): boolean;
  /** The channel's adapter, connected or not. */
  adapter(channel: string): Adapter | undefined;
  log: Log;
  now?: () => number;
}

export function createDispatcher(options: DispatcherOptions): Dispatcher {
  const { skills, fallback, store, delivery, log, now = Date.now } = options;
  const byCommand = new Map(
    skills.flatMap((skill) => skill.commands.map((command) => [command.name, { skill, command }] as const)),
  );

  async function run(lease: Lease, signal: AbortSignal): Promise<void> {
    const conversation = decodeConversation(lease.conversation);
    const adapter = options.adapter(conversation.channel);
    if (!adapter) throw new KimiError(`no channel ${conversation.channel}`, { code: 'internal' });
    const turn = toTurn(lease, signal);
    const skill = (turn.command && byCommand.get(turn.command.name)?.skill) || fallback;
    const reply = createReply({
      turn: lease.turn,
      conversation: lease.conversation,
      adapter,
      store,
      delivery,
      now,
      replyTo: lastOf(lease).messageId,
    });
    signal.addEventListener('abort', reply.close, { once: true });
    const reaction = createReaction(adapter, conversation, lastOf(lease).messageId);
    try {
      if (lease.attempts > MOST_ATTEMPTS) return putAside(lease, reply);
      if (lease.lane === 'turn') reply.begin();
      if (lease.lane === 'turn' && options.reactions()) reaction.begin();
      const refused = await fetchAttachments(turn, adapter);
      const outcome = await collect(skill, turn, (text) => reply.draft(text));
      outcome.footers.unshift(...refused);
      if (signal.reason === 'drain') {
        store.inbox.release(lease.turn, true);
        return;
      }
      if (outcome.error && outcome.error.code !== 'stopped') {
        log.warn(
          { turn: lease.turn, skill: skill.name, code: outcome.error.code, err: outcome.error },
          'turn failed',
        );
      }
      const at = now();
      const recorded = store.atomically(() => {
        if (!store.inbox.answered(lease.turn, at)) return false;
        reply.complete(compose(outcome), outcome.files);
        if (skill.conversational && outcome.text.trim() !== '') {
          store.conversations.open(turn.key, turn.person.id, at);
          store.conversations.append(turn.key, lease.turn, 'user', remembered(turn), at);
          store.conversations.append(turn.key, lease.turn, 'assistant', outcome.text.trim(), at);
        }
        return true;
      });
      if (!recorded) return await options.attachments.remove([lease.turn]);
      reach('turn.answered');
      reply.send();
    } finally {
      reply.close();
      reaction.end();
    }
  }

  /** Brings the turn's attachments to disk. Returns what is to be said of those that cannot be had. */
  async function fetchAttachments(turn: Turn, adapter: Adapter): Promise<string[]> {
    const fetched: Attachment[] = [];
    const refused: string[] = [];
    for (const attachment of turn.attachments) {
      try {
        fetched.push(await options.attachments.fetch(adapter, attachment, turn.id, turn.signal));
      } catch (error) {
        refused.push(asKimiError(error).message);
      }
    }
    turn.attachments = fetched;
    return refused;
  }

  function putAside(lease: Lease, reply: ReturnType<typeof createReply>): void {
    const error = `begun ${lease.attempts - 1} times without an end`;
    store.atomically(() => {
      reply.complete(
        'I could not answer this: each time I tried, I broke down. It is kept; `kimi dead` lists it.',
        [],
      );
      store.inbox.dead(lease.turn, error, now());
    });
    log.error({ turn: lease.turn }, `a message was put aside: ${error}; see \`kimi dead\``);
    reply.send();
  }

  function toTurn(lease: Lease, signal: AbortSignal): Turn {
    const [first] = lease.entries;
    const conversation = decodeConversation(lease.conversation);
    const person = store.people.ensure(conversation.channel, first.sender, 'member', now());
    let asked = 0;
    const turn: Turn = {
      id: lease.turn,
      conversation,
      key: lease.conversation,
      sender: first.sender,
      group: first.group,
      person: { id: person.id, role: person.role },
      text: lease.entries.map((entry) => entry.text).join('\n\n'),
      ...(first.command && { command: first.command }),
      attachments: lease.entries.flatMap((entry) => entry.attachments),
      signal,
      ask: (question) => options.asks.ask(turn, ++asked, question),
    };
    return turn;
  }

  return {
    commands: () => [...byCommand.values()].map(({ command }) => command),
    command: (name) => byCommand.get(name)?.command,
    run,
  };
}

function lastOf({ entries }: Lease): InboxEntry {
  return entries.at(-1) ?? entries[0];
}

interface Outcome {
  text: string;
  files: Attachment[];
  footers: string[];
  error?: KimiError;
}

/** Runs the skill to its end. What it throws is an outcome like any other. */
async function collect(skill: Skill, turn: Turn, draft: (text: string) => void): Promise<Outcome> {
  const outcome: Outcome = { text: '', files: [], footers: [] };
  try {
    for await (const event of skill.run(turn)) {
      switch (event.type) {
        case 'text':
          outcome.text += event.delta;
          draft(outcome.text);
          break;
        case 'reset':
          outcome.text = '';
          break;
        case 'progress':
          if (outcome.text === '') draft(`_${event.text}_`);
          break;
        case 'attachment':
          outcome.files.push(event.attachment);
          break;
        case 'footer':
          outcome.footers.push(event.text);
          break;
        case 'error':
          outcome.error = event.error;
          break;
      }
    }
  } catch (error) {
    outcome.error = asKimiError(error);
  }
  if (turn.signal.aborted) outcome.error = new KimiError('Stopped.', { code: 'stopped' });
  return outcome;
}

/** What was said, with the names of what came with it: files themselves are kept for days only. */
function remembered({ text, attachments }: Turn): string {
  return [text, ...attachments.map(({ name }) => `[attached: ${name}]`)]
    .filter((part) => part !== '')
    .join('\n');
}

/** What the person reads: the answer, then what is to be said about it. */
function compose({ text, files, footers, error }: Outcome): string {
  const parts = text.trim() === '' ? [] : [text.trim()];
  if (error) parts.push(error.code === 'stopped' ? '_Stopped._' : `⚠️ ${error.message}`);
  else if (parts.length === 0 && files.length === 0) {
    parts.push('_The model gave no answer. Ask again, or try another model: /model_');
  }
  for (const footer of footers) parts.push(`_${footer}_`);
  return parts.join('\n\n');
}
