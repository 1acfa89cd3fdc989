/** What a person can see and decide about themselves: who they are to us, what is stored, and that it goes. */
import { KimiError } from '../errors.ts';
import type { Store } from '../memory/store.ts';
import type { Skill, SkillEvent, Turn } from './skill.ts';

export interface AccountOptions {
  store: Store;
  /** The folder of everything that is stored. */
  home: string;
  /** Ends the running turn of a conversation. */
  stop(conversation: string): void;
  /** Deletes the files that came with the messages of these turns. */
  removeFiles(turns: readonly string[]): Promise<void>;
  now?: () => number;
}

type Handler = (turn: Turn) => string | Promise<string>;

export function createAccountSkill(options: AccountOptions): Skill {
  const { store, home, now = Date.now } = options;
  const { people } = store;

  function whoami({ person }: Turn): string {
    const accounts = people
      .identities(person.id)
      .map(({ channel, userId, name }) => `- ${name} (\`${channel}:${userId}\`)`);
    const role = person.role === 'owner' ? 'my owner' : 'a member';
    return [`You are ${role}, and write from`, '', ...accounts].join('\n');
  }

  function link({ person, command, group }: Turn): string {
    const code = command?.args ?? '';
    if (code === '') {
      // Whoever reads the code can become this person.
      if (group) return 'Write /link to me in a direct chat: here, others could use the code.';
      const fresh = people.startLink(person.id, now());
      return `On the other platform, write to me within an hour:\n\n\`/link ${fresh}\`\n\nBoth accounts then have one memory.`;
    }
    if (people.link(code, person.id, now()) === undefined) {
      throw new KimiError(
        'That code does not hold (any more). Write /link on the other platform for a new one.',
        {
          code: 'not_found',
        },
      );
    }
    return 'Linked: your accounts have one memory now. /whoami lists them.';
  }

  function privacy({ person, key }: Turn): string {
    const conversations = store.conversationsOf(person.id);
    const messages = store.conversations.countMessages(conversations);
    const here = store.conversations.countMessages([key]);
    return [
      'Everything I store is in one folder of the machine that I run on; none of it is sent anywhere but to the model that answers, and the platform that you write on.',
      '',
      `- the accounts that you write from, with their names (/whoami)`,
      `- ${conversations.length} of your conversations, with ${messages} messages, ${here} of them here`,
      '- files that you send, for seven days',
      '- for a month: when messages came and went, without the text of what you wrote, with the text of my replies',
      '',
      `Whoever owns the machine can read it${person.role === 'owner' ? ` (\`${home}\`)` : ''}. /forget deletes this conversation, \`/forget everything\` all that is stored of you.`,
    ].join('\n');
  }

  async function forget(turn: Turn): Promise<string> {
    const everything = turn.command?.args.trim().toLowerCase() === 'everything';
    const conversations = () => (everything ? store.conversationsOf(turn.person.id) : [turn.key]);
    const answer = await turn.ask({
      text: everything
        ? `Delete all that is stored of you: ${conversations().length} conversations on all your platforms, and that you were let in? You will be a stranger afterwards.`
        : 'Delete this conversation and all that was said in it? For all that is stored of you: `/forget everything`.',
      options: [
        { id: 'yes', label: 'Delete' },
        { id: 'no', label: 'Keep' },
      ],
    });
    if (answer !== 'yes') return 'Nothing was deleted.';
    const keys = conversations();
    for (const key of keys) if (key !== turn.key) options.stop(key);
    const forgotten = everything ? turn.person.id : undefined;
    const turns = store.forgetConversations([...new Set([...keys, turn.key])], turn.id, forgotten);
    await options.removeFiles(turns);
    if (!everything) return 'This conversation is deleted.';
    return 'All that was stored of you is deleted.';
  }

  const handlers: Record<string, { description: string; handle: Handler; immediate?: boolean }> = {
    whoami: { description: 'Who you are to me', handle: whoami, immediate: true },
    link: { description: 'Use one memory on several platforms', handle: link, immediate: true },
    privacy: { description: 'What is stored of you', handle: privacy, immediate: true },
    forget: { description: 'Delete this conversation, or with "everything" all of yours', handle: forget },
  };

  return {
    name: 'account',
    description: 'Tells people what is stored of them, links their accounts, forgets them',
    conversational: false,
    commands: Object.entries(handlers).map(([name, { description, immediate = false }]) => ({
      name,
      description,
      immediate,
    })),
    async *run(turn): AsyncIterable<SkillEvent> {
      const text = await handlers[turn.command?.name ?? '']?.handle(turn);
      if (text !== undefined) yield { type: 'text', delta: text };
    },
  };
}
