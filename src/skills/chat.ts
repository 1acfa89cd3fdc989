/** Conversation with a model. Takes every message that no command names. */
import { attachedParts } from '../agent/attachments.ts';
import { buildPrompt, type Prompt } from '../agent/prompt.ts';
import type { Config } from '../config.ts';
import type { Conversations } from '../memory/conversations.ts';
import type { Chat } from '../models/chat.ts';
import type { Progress } from '../models/model.ts';
import type { Skill, SkillEvent } from './skill.ts';

export interface ChatOptions {
  chat: Chat;
  conversations: Conversations;
  config(): Config;
  now?: () => number;
}

export function createChatSkill({ chat, conversations, config, now = Date.now }: ChatOptions): Skill {
  return {
    name: 'chat',
    description: 'Answers in conversation',
    conversational: true,
    commands: [],
    async *run(turn): AsyncIterable<SkillEvent> {
      const conversation = conversations.open(turn.key, turn.person.id, now());
      const history = conversations.history(conversation);
      let fold: Prompt['fold'];
      const events = chat({
        ...(conversation.model !== null && { preferred: conversation.model }),
        signal: turn.signal,
        async prepare(model) {
          const prompt = buildPrompt({
            model,
            conversation,
            history,
            text: turn.text,
            attached: await attachedParts(turn.attachments, model),
            assistant: config().assistant,
            channel: turn.conversation.channel,
            now: new Date(now()),
          });
          fold = prompt.fold;
          return prompt.options;
        },
      });
      for await (const event of events) {
        switch (event.type) {
          case 'waiting':
            yield { type: 'progress', text: describe(event.progress) };
            break;
          case 'model':
            if (event.model.profile.starter && !history.some(({ role }) => role === 'assistant')) {
              yield {
                type: 'footer',
                text: `Written by ${event.model.ref}, a small model to start with. For a good one: \`kimi models pull recommended\``,
              };
            } else if (event.fallback) {
              yield { type: 'footer', text: `Written by ${event.model.ref}; the first choice failed.` };
            }
            break;
          case 'text':
            yield { type: 'text', delta: event.delta };
            break;
          case 'reset':
            yield { type: 'reset' };
            break;
          case 'finish':
            if (fold) conversations.fold(turn.key, fold.summary, fold.upTo);
            if (event.reason === 'length')
              yield { type: 'footer', text: 'Cut at the longest answer this model may give.' };
            if (event.reason === 'repetition')
              yield { type: 'footer', text: 'Ended: the model began to repeat itself.' };
            break;
          case 'error':
            yield { type: 'error', error: event.error };
            break;
          case 'tool-call':
            // No tools are offered yet, so a call is noise.
            break;
        }
      }
    },
  };
}

function describe({ what, done, total }: Progress): string {
  const megabytes = (bytes: number) => `${Math.round(bytes / 1e6)} MB`;
  if (total === undefined) return done > 0 ? `${what}: ${megabytes(done)} …` : `${what} …`;
  return `${what}: ${megabytes(done)} of ${megabytes(total)} (${Math.floor((100 * done) / total)} %) …`;
}
