/** The commands that every channel has, with the same words. */
import { asKimiError, KimiError } from '../errors.ts';
import type { Conversations } from '../memory/conversations.ts';
import type { Models } from '../models/registry.ts';
import type { Skill, SkillCommand, SkillEvent, Turn } from './skill.ts';

export interface CommandsOptions {
  assistantName(): string;
  conversations: Conversations;
  models: Models;
  /** Ends the running turn of a conversation; returns whether there was one. */
  stop(conversation: string): boolean;
  /** A few lines on how the daemon is. */
  status(): Promise<string>;
  /** The commands of all skills, for /help. */
  all(): readonly SkillCommand[];
}

type Handler = (turn: Turn, args: string) => string | Promise<string>;

export function createCommands(options: CommandsOptions): Skill {
  const { conversations, models } = options;

  const handlers: Record<string, SkillCommand & { handle: Handler }> = Object.fromEntries(
    (
      [
        { name: 'start', description: 'Say hello', immediate: true, handle: () => greeting() },
        { name: 'help', description: 'What I can do', immediate: true, handle: () => help() },
        { name: 'new', description: 'Begin a new conversation', handle: fresh },
        { name: 'status', description: 'How I am', immediate: true, handle: status },
        { name: 'model', description: 'Show the models, or choose one for this conversation', handle: model },
        { name: 'stop', description: 'End the answer that I am writing', immediate: true, handle: stop },
      ] satisfies (SkillCommand & { handle: Handler })[]
    ).map((command) => [command.name, command]),
  );

  const help = () =>
    options
      .all()
      .map(({ name, description }) => `- /${name}: ${description}`)
      .join('\n');

  const greeting = () =>
    `Hello, I'm ${options.assistantName()}. Write to me, or choose a command:\n\n${help()}`;

  function fresh(turn: Turn): string {
    conversations.fresh(turn.key);
    return 'A new conversation. What was said before is no longer sent to the model.';
  }

  /** Paths, settings and errors are their owner's business alone. */
  async function status({ person }: Turn): Promise<string> {
    if (person.role === 'owner') return options.status();
    const { chat } = await models.status();
    return chat ? `I am up, and answer with \`${chat}\`.` : 'I am up, but have no model to answer with yet.';
  }

  function stop(turn: Turn): string {
    return options.stop(turn.key) ? 'Stopping.' : 'There is nothing to stop.';
  }

  async function model(turn: Turn, wanted: string): Promise<string> {
    const available = (await models.list()).filter((candidate) => candidate.can.chat);
    const { model: chosen } = conversations.open(turn.key, turn.person.id, Date.now());
    if (wanted === '') {
      const lines = available.map(({ ref }) => `- \`${ref}\`${ref === chosen ? ' (chosen here)' : ''}`);
      const { chat, why } = await models.status();
      lines.unshift(
        chosen ? `This conversation uses \`${chosen}\`.` : chat ? `I answer with \`${chat}\`: ${why}` : why,
        '',
      );
      lines.push('', 'Choose one with `/model NAME`, go back with `/model auto`.');
      return lines.join('\n');
    }
    if (wanted === 'auto') {
      conversations.setModel(turn.key, null);
      return 'This conversation uses the usual model again.';
    }
    const exact = available.find(({ ref, name }) => ref === wanted || name === wanted);
    const matches = available.filter(({ ref }) => ref.toLowerCase().includes(wanted.toLowerCase()));
    const found = exact ?? (matches.length === 1 ? matches[0] : undefined);
    if (!found) {
      const problem =
        matches.length > 1
          ? `matches ${matches.map(({ ref }) => `\`${ref}\``).join(', ')}`
          : 'matches no model';
      throw new KimiError(`"${wanted}" ${problem}. /model lists what is there.`, { code: 'not_found' });
    }
    conversations.setModel(turn.key, found.ref);
    return `This conversation uses \`${found.ref}\` from now on.`;
  }

  return {
    name: 'commands',
    description: 'Answers commands',
    conversational: false,
    commands: Object.values(handlers).map(({ handle: _, ...command }) => command),
    async *run(turn): AsyncIterable<SkillEvent> {
      const handler = handlers[turn.command?.name ?? ''];
      try {
        yield { type: 'text', delta: (await handler?.handle(turn, turn.command?.args ?? '')) ?? help() };
      } catch (error) {
        yield { type: 'error', error: asKimiError(error) };
      }
    },
  };
}
