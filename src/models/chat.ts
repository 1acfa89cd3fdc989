/** One question to whichever model answers: gate → candidate → deadlines → stream, else the next candidate. */
import type { LanguageModelV3CallOptions, LanguageModelV3ToolCall } from '@ai-sdk/provider';
import type { KimiError } from '../errors.ts';
import type { ChatModel, Progress } from './model.ts';

/** What happens while a model answers. Ends with exactly one `finish` or `error`. */
export type ChatEvent =
  /** Nothing can answer yet: a model is being fetched or loaded, or all places are taken. */
  | { type: 'waiting'; progress: Progress }
  /** This model was asked. `fallback` when it was not the first choice. */
  | { type: 'model'; model: ChatModel; fallback: boolean }
  | { type: 'text'; delta: string }
  | { type: 'tool-call'; call: LanguageModelV3ToolCall }
  /** The model failed midway and another is asked: what was streamed so far is void. */
  | { type: 'reset'; error: KimiError }
  | {
      type: 'finish';
      reason: 'stop' | 'length' | 'tool-calls' | 'repetition';
      inputTokens: number | undefined;
      outputTokens: number | undefined;
    }
  | { type: 'error'; error: KimiError };

export interface ChatRequest {
  /** Tried first: a model chosen for this conversation (`provider/name`), before what config names. */
  preferred?: string;
  /** Builds the call for a model: prompts are fitted to the window of the one that is asked. */
  prepare(model: ChatModel): Promise<LanguageModelV3CallOptions>;
  signal: AbortSignal;
}

/** Asks the models. A model's failure is an event; the iteration itself never throws. */
export type Chat = (request: ChatRequest) => AsyncIterable<ChatEvent>;
