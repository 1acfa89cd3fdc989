/** The AI SDK's prompt as plain turns of a conversation, the way chat templates take it. */
import type { LanguageModelV3CallOptions, LanguageModelV3Message } from '@ai-sdk/provider';
import type { Message } from './protocol.ts';

/**
 * Flattens a prompt to text. Neighbours of the same role become one turn, since many templates insist that user
 * and assistant alternate. Tool calls and results, which another model may have left in the conversation, are told
 * in words. Images and files are named, not shown.
 */
export function toMessages(prompt: LanguageModelV3CallOptions['prompt']): Message[] {
  const messages: Message[] = [];
  for (const item of prompt) {
    const next = toMessage(item);
    const last = messages.at(-1);
    if (next.text === '') continue;
    if (last?.role === next.role) last.text += `\n\n${next.text}`;
    else messages.push(next);
  }
  return messages;
}

function toMessage(item: LanguageModelV3Message): Message {
  switch (item.role) {
    case 'system':
      return { role: 'system', text: item.content };
    case 'user':
      return {
        role: 'user',
        text: joined(item.content.map((part) => (part.type === 'text' ? part.text : `[${part.mediaType}]`))),
      };
    case 'assistant':
      return {
        role: 'assistant',
        text: joined(
          item.content.map((part) => {
            if (part.type === 'text') return part.text;
            return part.type === 'tool-call' ? `(asked ${part.toolName})` : '';
          }),
        ),
      };
    case 'tool':
      return {
        role: 'user',
        text: joined(
          item.content.map((part) =>
            part.type === 'tool-result' ? `Result of ${part.toolName}: ${outputText(part.output)}` : '',
          ),
        ),
      };
  }
}

type ToolOutput = Extract<
  Extract<LanguageModelV3Message, { role: 'tool' }>['content'][number],
  { type: 'tool-result' }
>['output'];

function outputText(output: ToolOutput): string {
  switch (output.type) {
    case 'text':
    case 'error-text':
      return output.value;
    case 'json':
    case 'error-json':
      return JSON.stringify(output.value);
    case 'execution-denied':
      return output.reason ?? 'denied';
    case 'content':
      return joined(output.value.map((part) => (part.type === 'text' ? part.text : `[${part.type}]`)));
  }
}

function joined(parts: readonly string[]): string {
  return parts.filter((part) => part !== '').join('\n');
}
