/** One model of Ollama as the AI SDK's LanguageModelV3: call options → /api/chat → stream parts. */
import { randomUUID } from 'node:crypto';
import { ReadableStream } from 'node:stream/web';
import type {
  LanguageModelV3,
  LanguageModelV3CallOptions,
  LanguageModelV3Content,
  LanguageModelV3FinishReason,
  LanguageModelV3GenerateResult,
  LanguageModelV3StreamPart,
  LanguageModelV3Usage,
  SharedV3Warning,
} from '@ai-sdk/provider';
import type { ChatRequest, ChatResponse, Ollama } from 'ollama';
import { KimiError } from '../../errors.ts';
import type { Profile } from '../model.ts';
import { ollamaError } from './errors.ts';
import { toMessages, toTools } from './prompt.ts';

export interface LanguageOptions {
  name: string;
  profile: Profile;
  /** Ollama's `num_ctx`. The same for each request: another value makes Ollama load the model anew. */
  window: number;
  thinks: boolean;
  baseUrl: () => string;
  keepAlive: () => string;
  /** A client whose requests end with any of the signals. */
  connect(signals: readonly AbortSignal[]): Promise<Ollama>;
}

/** A stream ends with `finish`, or with `error` holding a KimiError; doGenerate rejects with that KimiError. */
export function createOllamaLanguage(options: LanguageOptions): LanguageModelV3 {
  return {
    specificationVersion: 'v3',
    provider: 'ollama',
    modelId: options.name,
    supportedUrls: {},
    doStream: async (call) => ({
      stream: toStream((signals) => answer(options, call, signals), call.abortSignal),
    }),
    doGenerate: (call) => collect(toStream((signals) => answer(options, call, signals), call.abortSignal)),
  };
}

async function* answer(
  options: LanguageOptions,
  call: LanguageModelV3CallOptions,
  signals: readonly AbortSignal[],
): AsyncGenerator<LanguageModelV3StreamPart> {
  const context = { baseUrl: options.baseUrl(), model: options.name, signals };
  try {
    yield { type: 'stream-start', warnings: warningsOf(call) };
    const client = await options.connect(signals);
    const chunks = await client.chat({ ...toRequest(options, call), stream: true });
    yield* toParts(chunks);
  } catch (error) {
    yield { type: 'error', error: ollamaError(error, context) };
  }
}

function toRequest(options: LanguageOptions, call: LanguageModelV3CallOptions): ChatRequest {
  const { profile } = options;
  const tools = toTools(call);
  const format = call.responseFormat?.type === 'json' ? (call.responseFormat.schema ?? 'json') : undefined;
  const topP = call.topP ?? profile.topP;
  return {
    model: options.name,
    messages: toMessages(call.prompt),
    keep_alive: options.keepAlive(),
    ...(tools.length > 0 ? { tools } : {}),
    ...(format === undefined ? {} : { format }),
    // Asked for by name, reasoning arrives apart from the answer; servers reject it for models that have none.
    ...(options.thinks ? { think: true } : {}),
    options: {
      num_ctx: options.window,
      num_predict: call.maxOutputTokens ?? profile.maxAnswer,
      temperature: call.temperature ?? profile.temperature,
      ...(topP === undefined ? {} : { top_p: topP }),
      ...(call.topK === undefined ? {} : { top_k: call.topK }),
      ...(profile.repeatPenalty === undefined ? {} : { repeat_penalty: profile.repeatPenalty }),
      ...(call.presencePenalty === undefined ? {} : { presence_penalty: call.presencePenalty }),
      ...(call.frequencyPenalty === undefined ? {} : { frequency_penalty: call.frequencyPenalty }),
      ...(call.stopSequences?.length ? { stop: call.stopSequences } : {}),
      ...(call.seed === undefined ? {} : { seed: call.seed }),
    },
  };
}

function warningsOf(call: LanguageModelV3CallOptions): SharedV3Warning[] {
  const warnings: SharedV3Warning[] = [];
  if (call.toolChoice?.type === 'required' || call.toolChoice?.type === 'tool') {
    warnings.push({
      type: 'unsupported',
      feature: 'toolChoice',
      details: 'Ollama cannot be made to call a tool',
    });
  }
  return warnings;
}

async function* toParts(chunks: AsyncIterable<ChatResponse>): AsyncGenerator<LanguageModelV3StreamPart> {
  let open: { type: 'text' | 'reasoning'; id: string } | undefined;
  let blocks = 0;
  let calls = 0;

  function* write(
    type: 'text' | 'reasoning',
    delta: string | undefined,
  ): Generator<LanguageModelV3StreamPart> {
    if (!delta) return;
    if (open?.type !== type) {
      yield* finishBlock();
      open = { type, id: String(blocks++) };
      yield { type: `${type}-start`, id: open.id };
    }
    yield { type: `${type}-delta`, id: open.id, delta };
  }
  function* finishBlock(): Generator<LanguageModelV3StreamPart> {
    if (open) yield { type: `${open.type}-end`, id: open.id };
    open = undefined;
  }

  for await (const chunk of chunks) {
    const message: Partial<ChatResponse['message']> = chunk.message ?? {};
    yield* write('reasoning', message.thinking);
    yield* write('text', message.content);
    for (const { function: called } of message.tool_calls ?? []) {
      calls++;
      yield {
        type: 'tool-call',
        toolCallId: randomUUID(),
        toolName: String(called.name),
        input: JSON.stringify(called.arguments ?? {}),
      };
    }
    if (chunk.done) {
      yield* finishBlock();
      yield { type: 'finish', finishReason: finishReason(chunk.done_reason, calls), usage: usageOf(chunk) };
      return;
    }
  }
}

function finishReason(raw: string | undefined, calls: number): LanguageModelV3FinishReason {
  if (calls > 0) return { unified: 'tool-calls', raw };
  if (raw === 'length') return { unified: 'length', raw };
  return { unified: raw === 'stop' || raw === undefined ? 'stop' : 'other', raw };
}

function usageOf(chunk: ChatResponse): LanguageModelV3Usage {
  return {
    inputTokens: {
      total: chunk.prompt_eval_count,
      noCache: undefined,
      cacheRead: undefined,
      cacheWrite: undefined,
    },
    outputTokens: { total: chunk.eval_count, text: undefined, reasoning: undefined },
  };
}

/**
 * A stream over a generator that starts when it is first read. Cancelling the stream and aborting the caller's signal
 * both end the HTTP request that the generator reads from.
 */
function toStream(
  generate: (signals: readonly AbortSignal[]) => AsyncGenerator<LanguageModelV3StreamPart>,
  caller: AbortSignal | undefined,
): ReadableStream<LanguageModelV3StreamPart> {
  const controller = new AbortController();
  const parts = generate(caller ? [controller.signal, caller] : [controller.signal]);
  return new ReadableStream<LanguageModelV3StreamPart>(
    {
      async pull(stream) {
        const { done, value } = await parts.next();
        if (done) stream.close();
        else stream.enqueue(value);
      },
      async cancel() {
        controller.abort();
        await parts.return(undefined);
      },
    },
    { highWaterMark: 0 },
  );
}

/** Reads a stream to its end. Rejects with the KimiError that the stream ended with, where it did. */
async function collect(
  stream: ReadableStream<LanguageModelV3StreamPart>,
): Promise<LanguageModelV3GenerateResult> {
  const content: LanguageModelV3Content[] = [];
  let warnings: SharedV3Warning[] = [];
  for await (const part of stream) {
    switch (part.type) {
      case 'stream-start':
        ({ warnings } = part);
        break;
      case 'text-start':
        content.push({ type: 'text', text: '' });
        break;
      case 'reasoning-start':
        content.push({ type: 'reasoning', text: '' });
        break;
      case 'text-delta':
      case 'reasoning-delta': {
        const last = content.at(-1);
        if (last?.type === 'text' || last?.type === 'reasoning') last.text += part.delta;
        break;
      }
      case 'tool-call':
        content.push(part);
        break;
      case 'finish':
        return { content, finishReason: part.finishReason, usage: part.usage, warnings };
      case 'error':
        throw part.error;
    }
  }
  throw new KimiError('Ollama ended its answer without saying so. Ask again.', {
    code: 'model_failed',
    retryable: true,
  });
}
