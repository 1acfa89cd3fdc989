/** The contract of a skill: one turn in, events out. Skills know no platform. */
import type { KimiError } from '../errors.ts';
import type { Ask, Attachment, ConversationId, Sender } from '../message.ts';

/** What a conversation wants answered now: one message, or several that came while the last turn ran. */
export interface Turn {
  /** Stable over restarts: the same messages run again have the same id. */
  id: string;
  conversation: ConversationId;
  /** {@link conversation}, encoded. */
  key: string;
  sender: Sender;
  /** Others read along. */
  group: boolean;
  /** The person behind the sender, the same on every platform they linked. */
  person: { id: number; role: 'owner' | 'member' };
  /** The messages, in platform order, joined by blank lines. */
  text: string;
  /** When the turn is a command: its name without the slash, and the rest of the line. */
  command?: { name: string; args: string };
  /** On disk. */
  attachments: Attachment[];
  /** Aborted by /stop and when the daemon drains. */
  signal: AbortSignal;
  /**
   * Asks the person and resolves with the id of the option they chose; undefined when they did not. Run again after
   * a crash, the same questions in the same order get the answers that were given before.
   */
  ask(question: Question): Promise<string | undefined>;
}

/** Something that only the person can decide. */
export interface Question {
  text: string;
  options: Ask['options'];
  /** How long they may take, in milliseconds. Default: five minutes. */
  deadlineMs?: number;
}

export type SkillEvent =
  /** More of the answer, in CommonMark. */
  | { type: 'text'; delta: string }
  /** The answer so far is void (its model failed); what follows replaces it. */
  | { type: 'reset' }
  /** Shown while there is no text yet; replaced by the answer. */
  | { type: 'progress'; text: string }
  /** A file that goes with the answer; its source is a path. */
  | { type: 'attachment'; attachment: Attachment }
  /** A remark about the answer, shown below it and not remembered. */
  | { type: 'footer'; text: string }
  /** The turn failed; the message is what the person reads. */
  | { type: 'error'; error: KimiError };

export interface SkillCommand {
  name: string;
  /** One line, as /help and the platforms' menus show it. */
  description: string;
  /** Answered at once even while a turn of the conversation runs. */
  immediate?: boolean;
}

export interface Skill {
  readonly name: string;
  /** For the dispatcher and for people: what it is for. */
  readonly description: string;
  readonly commands: readonly SkillCommand[];
  /** Whether what is said belongs to the conversation and is sent to the model again. */
  readonly conversational: boolean;
  run(turn: Turn): AsyncIterable<SkillEvent>;
}
