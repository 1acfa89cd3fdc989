/** The AI SDK's prompt and tools in Ollama's words. */
import type {
  LanguageModelV3CallOptions,
  LanguageModelV3FilePart,
  LanguageModelV3Message,
  LanguageModelV3Prompt,
  LanguageModelV3ToolCallPart,
  LanguageModelV3ToolResultPart,
} from '@ai-sdk/provider';
import type { Message, Tool, ToolCall } from 'ollama';
import { KimiError } from '../../errors.ts';

/** Throws KimiError `invalid_argument` for what Ollama cannot take: files that are not images, images by address. */
export function toMessages(prompt: LanguageModelV3Prompt): Message[] {
  return prompt.flatMap(toMessage);
}

function toMessage(message: LanguageModelV3Message): Message | Message[] {
  switch (message.role) {
    case 'system':
      return { role: 'system', content: message.content };
    case 'user': {
      const text = message.content.flatMap((part) => (part.type === 'text' ? [part.text] : []));
      const images = message.content.flatMap((part) => (part.type === 'file' ? [toImage(part)] : []));
      return { role: 'user', content: text.join('\n'), ...(images.length > 0 ? { images } : {}) };
    }
    case 'assistant': {
      const text = message.content.flatMap((part) => (part.type === 'text' ? [part.text] : []));
      const calls = message.content.flatMap((part) => (part.type === 'tool-call' ? [toCall(part)] : []));
      return {
        role: 'assistant',
        content: text.join(''),
        ...(calls.length > 0 ? { tool_calls: calls } : {}),
      };
    }
    case 'tool':
      return message.content.flatMap((part) =>
        part.type === 'tool-result'
          ? [{ role: 'tool', tool_name: part.toolName, content: toResult(part) }]
          : [],
      );
  }
}

function toCall(part: LanguageModelV3ToolCallPart): ToolCall {
  return { function: { name: part.toolName, arguments: toArguments(part.input) } };
}

/** The tools to offer under the call's tool choice. Ollama cannot be made to call one; a single choice is offered alone. */
export function toTools(options: LanguageModelV3CallOptions): Tool[] {
  const choice = options.toolChoice ?? { type: 'auto' };
  if (choice.type === 'none') return [];
  return (options.tools ?? []).flatMap((tool): Tool[] => {
    if (tool.type !== 'function') return [];
    if (choice.type === 'tool' && choice.toolName !== tool.name) return [];
    const { name, description = '', inputSchema } = tool;
    // The client's type of a schema is narrower than what Ollama takes, which is JSON Schema.
    return [{ type: 'function', function: { name, description, parameters: inputSchema as object } }];
  });
}

/** Always bytes, never a string: the client would read the file of that name, if there is one. */
function toImage(part: LanguageModelV3FilePart): Uint8Array {
  if (!part.mediaType.startsWith('image/')) {
    throw new KimiError(
      `Ollama takes images, not ${part.mediaType}. Send the text of the document instead.`,
      {
        code: 'invalid_argument',
      },
    );
  }
  if (part.data instanceof Uint8Array) return part.data;
  const source = String(part.data);
  const base64 = source.startsWith('data:') ? source.slice(source.indexOf(',') + 1) : source;
  if (part.data instanceof URL && !source.startsWith('data:')) {
    throw new KimiError('Ollama takes images as bytes, not by address. Fetch the image first.', {
      code: 'invalid_argument',
    });
  }
  return new Uint8Array(Buffer.from(base64, 'base64'));
}

function toArguments(input: unknown): Record<string, unknown> {
  const value: unknown = typeof input === 'string' ? parsed(input) : input;
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : { input: value };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function toResult({ output }: LanguageModelV3ToolResultPart): string {
  switch (output.type) {
    case 'text':
      return output.value;
    case 'error-text':
      return `Error: ${output.value}`;
    case 'json':
      return JSON.stringify(output.value);
    case 'error-json':
      return `Error: ${JSON.stringify(output.value)}`;
    case 'execution-denied':
      return `The person did not allow this${output.reason ? `: ${output.reason}` : '.'}`;
    case 'content':
      return output.value
        .map((part) => (part.type === 'text' ? part.text : `(${part.type} left out)`))
        .join('\n');
  }
}
