/** An embedded model as the AI SDK's LanguageModelV3: prompt → request to the model process → stream parts. */
import type {
  LanguageModelV3,
  LanguageModelV3CallOptions,
  LanguageModelV3Content,
  LanguageModelV3GenerateResult,
  LanguageModelV3StreamPart,
  SharedV3Warning,
} from '@ai-sdk/provider';
import { asKimiError, KimiError } from '../../errors.ts';
import type { Profile } from '../model.ts';
import type { EngineClient } from './client.ts';
import { toMessages } from './messages.ts';
import type { ChatSpec, Delta, GenerateOptions, Result } from './protocol.ts';

export interface LanguageOptions {
  client: EngineClient;
  modelId: string;
  spec: ChatSpec;
  /** Sampling where the call does not say. */
  profile: Profile;
}

type Generated = Extract<Result, { type: 'generated' }>;
type Finish = Extract<LanguageModelV3StreamPart, { type: 'finish' }>;

/**
 * Makes the language model. Failures are an `error` part that holds a KimiError; the stream itself never rejects.
 * An answer that went round in circles finishes with `{ unified: 'stop', raw: 'repetition' }`.
 */
export function createLanguageModel(options: LanguageOptions): LanguageModelV3 {
  const { client, modelId, spec, profile } = options;

  function stream(call: LanguageModelV3CallOptions): ReadableStream<LanguageModelV3StreamPart> {
    const cancelled = new AbortController();
    const signal = call.abortSignal
      ? AbortSignal.any([call.abortSignal, cancelled.signal])
      : cancelled.signal;
    return new ReadableStream<LanguageModelV3StreamPart>({
      start(controller) {
        const block = createBlocks((part) => {
          if (!cancelled.signal.aborted) controller.enqueue(part);
        });
        const close = () => {
          if (!cancelled.signal.aborted) controller.close();
        };
        block.emit({ type: 'stream-start', warnings: warningsFor(call) });
        const request = {
          type: 'generate',
          model: spec,
          messages: toMessages(call.prompt),
          options: generateOptions(call, profile),
        } as const;
        client
          .call(request, signal, block.delta)
          .then(
            (result) => {
              block.end();
              if (result.type === 'generated') block.emit(finish(result));
            },
            (error: unknown) => {
              block.end();
              block.emit({ type: 'error', error: asKimiError(error) });
            },
          )
          .then(close);
      },
      cancel() {
        cancelled.abort();
      },
    });
  }

  return {
    specificationVersion: 'v3',
    provider: 'embedded',
    modelId,
    supportedUrls: {},
    doStream: (call) => Promise.resolve({ stream: stream(call) }),
    doGenerate: (call) => collect(stream(call)),
  };
}

/** Frames deltas by the start and end parts that the AI SDK wants around a run of text or of reasoning. */
function createBlocks(emit: (part: LanguageModelV3StreamPart) => void) {
  let open: { type: Delta['type']; id: string } | undefined;
  let count = 0;
  const end = () => {
    if (open) emit({ type: `${open.type}-end`, id: open.id });
    open = undefined;
  };
  return {
    emit,
    end,
    delta({ type, delta }: Delta) {
      if (open?.type !== type) {
        end();
        open = { type, id: String(count++) };
        emit({ type: `${type}-start`, id: open.id });
      }
      emit({ type: `${type}-delta`, id: open.id, delta });
    },
  };
}

function generateOptions(call: LanguageModelV3CallOptions, profile: Profile): GenerateOptions {
  const topP = call.topP ?? profile.topP;
  const format = call.responseFormat;
  return {
    maxTokens: call.maxOutputTokens ?? profile.maxAnswer,
    temperature: call.temperature ?? profile.temperature,
    ...(topP !== undefined && { topP }),
    ...(call.topK !== undefined && { topK: call.topK }),
    ...(call.seed !== undefined && { seed: call.seed }),
    ...(profile.repeatPenalty !== undefined && { repeatPenalty: profile.repeatPenalty }),
    ...(call.stopSequences?.length && { stop: call.stopSequences }),
    ...(format?.type === 'json' && { json: { schema: format.schema } }),
  };
}

function warningsFor(call: LanguageModelV3CallOptions): SharedV3Warning[] {
  return call.tools?.length ? [{ type: 'unsupported', feature: 'tools' }] : [];
}

function finish(result: Generated): Finish {
  const { inputTokens, reusedTokens, outputTokens, reason } = result;
  return {
    type: 'finish',
    finishReason: { unified: reason === 'length' ? 'length' : 'stop', raw: reason },
    usage: {
      inputTokens: {
        total: inputTokens,
        noCache: inputTokens - reusedTokens,
        cacheRead: reusedTokens,
        cacheWrite: undefined,
      },
      outputTokens: { total: outputTokens, text: undefined, reasoning: undefined },
    },
  };
}

async function collect(
  stream: ReadableStream<LanguageModelV3StreamPart>,
): Promise<LanguageModelV3GenerateResult> {
  const content: LanguageModelV3Content[] = [];
  let warnings: SharedV3Warning[] = [];
  let finished: Finish | undefined;
  for await (const part of stream) {
    if (part.type === 'stream-start') warnings = part.warnings;
    else if (part.type === 'text-start') content.push({ type: 'text', text: '' });
    else if (part.type === 'reasoning-start') content.push({ type: 'reasoning', text: '' });
    else if (part.type === 'text-delta' || part.type === 'reasoning-delta') {
      const last = content.at(-1);
      if (last?.type === 'text' || last?.type === 'reasoning') last.text += part.delta;
    } else if (part.type === 'error') throw asKimiError(part.error);
    else if (part.type === 'finish') finished = part;
  }
  if (!finished)
    throw new KimiError('The model ended without a result. Ask again.', { code: 'model_failed' });
  return { content, warnings, finishReason: finished.finishReason, usage: finished.usage };
}
