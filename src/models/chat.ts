/** One question to whichever model answers: gate → candidate → deadlines → stream, else the next candidate. */
import type {
  LanguageModelV3CallOptions,
  LanguageModelV3StreamPart,
  LanguageModelV3ToolCall,
} from '@ai-sdk/provider';
import { asKimiError, KimiError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { Gate } from './gate.ts';
import type { ChatModel, Progress } from './model.ts';
import { createRepetitionGuard } from './repetition.ts';
import { readWithin } from './stream.ts';
import { createThinkFilter } from './thinking.ts';

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

export interface ChatOptions {
  /** In the order in which they are asked; empty when there is none. May be called often. */
  candidates(preferred?: string): Promise<readonly ChatModel[]>;
  gate: Gate;
  deadlines: () => { firstTokenMs: number; silenceMs: number };
  /** What to wait for while there is no candidate; undefined when waiting is of no use. */
  waiting?: () => Promise<Waiting | undefined>;
  /** What to say when there is no candidate. */
  none?: () => KimiError;
  /** The `provider/name` that is meant to answer, where one is named: any other is a fallback. */
  firstChoice?: (preferred?: string) => string | undefined;
  /** Told of each model that failed, so that what is known of it can be forgotten. */
  onFailure?: (model: ChatModel, error: KimiError) => void;
  log: Log;
}

/** A model that is on its way. */
export interface Waiting {
  progress: Progress;
  /** Resolves when the progress has moved on, or the wait is over. */
  changed: Promise<void>;
}

/** The error for a program without any model. */
export function noModel(detail = ''): KimiError {
  return new KimiError(
    `There is no model that could answer${detail === '' ? '' : `: ${detail}`}. \`kimi models pull recommended\` gets one; with Ollama, \`ollama pull qwen3:4b\` does too.`,
    { code: 'model_none', retryable: true },
  );
}

/** An answer is ended at this many characters for each token that the profile allows. Few tokens are longer. */
const MAX_CHARACTERS_PER_TOKEN = 12;

/** Makes the one way to ask a model. */
export function createChat(options: ChatOptions): Chat {
  return async function* chat(request) {
    try {
      yield* ask(options, request);
    } catch (error) {
      yield { type: 'error', error: request.signal.aborted ? stopped() : asKimiError(error) };
    }
  };
}

async function* ask(options: ChatOptions, request: ChatRequest): AsyncGenerator<ChatEvent> {
  const { gate, log } = options;
  const { preferred, signal } = request;
  yield* untilCandidate(options, request);
  if (gate.full()) {
    yield { type: 'waiting', progress: { what: 'a free place', done: 0, total: gate.waiting() + 1 } };
  }
  const release = await gate.acquire(signal);
  try {
    // Once more: the wait for a place may have been long. What is cached costs nothing.
    const candidates = await options.candidates(preferred);
    const first = options.firstChoice?.(preferred) ?? candidates[0]?.ref;
    let last: KimiError | undefined;
    for (const model of candidates) {
      if (signal.aborted) throw stopped();
      yield { type: 'model', model, fallback: last !== undefined || model.ref !== first };
      const outcome = yield* attempt(options, request, model);
      if (outcome.type === 'finish') {
        yield outcome.event;
        return;
      }
      if (signal.aborted) throw stopped();
      last = outcome.error;
      log.warn({ model: model.ref, code: last.code, err: last }, 'the model failed');
      options.onFailure?.(model, last);
      const another = model !== candidates.at(-1);
      if (outcome.emitted && another) yield { type: 'reset', error: last };
    }
    throw last ?? options.none?.() ?? noModel();
  } finally {
    release();
  }
}

/** Waits, saying how far it is, while no model is there but one is on its way. Throws when none is. */
async function* untilCandidate(
  options: ChatOptions,
  { preferred, signal }: ChatRequest,
): AsyncGenerator<ChatEvent> {
  for (;;) {
    if (signal.aborted) throw stopped();
    const candidates = await options.candidates(preferred);
    if (candidates.length > 0) return;
    const waiting = await options.waiting?.();
    if (!waiting) throw options.none?.() ?? noModel();
    yield { type: 'waiting', progress: waiting.progress };
    await orAborted(waiting.changed, signal);
  }
}

type Outcome =
  | { type: 'finish'; event: Extract<ChatEvent, { type: 'finish' }> }
  /** `emitted`: whether something of the void answer has been seen already. */
  | { type: 'failed'; error: KimiError; emitted: boolean };

/** Asks one model. Yields its text and tool calls; returns how it ended. The stream is always cancelled. */
async function* attempt(
  options: ChatOptions,
  { prepare, signal }: ChatRequest,
  model: ChatModel,
): AsyncGenerator<ChatEvent, Outcome> {
  const controller = new AbortController();
  const abort = () => controller.abort();
  signal.addEventListener('abort', abort);
  let emitted = false;
  try {
    const { firstTokenMs, silenceMs } = options.deadlines();
    const call = await orAborted(prepare(model), signal);
    const parts = readWithin(
      async () => (await model.language.doStream({ ...call, abortSignal: controller.signal })).stream,
      {
        firstMs: firstTokenMs,
        silenceMs,
        isLife,
        signal,
        late: (ms, first) => tooLate(model, ms, first),
      },
    );
    const answer = createAnswer(model);
    for await (const part of parts) {
      const { events, finish } = answer.take(part);
      for (const event of events) {
        emitted = true;
        yield event;
      }
      if (finish) return { type: 'finish', event: finish };
    }
    throw failed(model, 'broke off its answer');
  } catch (error) {
    return { type: 'failed', error: asKimiError(error), emitted };
  } finally {
    signal.removeEventListener('abort', abort);
    controller.abort();
  }
}

/** What shows that the model works: any text, reasoning or tool input. Empty deltas do not. */
function isLife(part: LanguageModelV3StreamPart): boolean {
  switch (part.type) {
    case 'text-delta':
    case 'reasoning-delta':
    case 'tool-input-delta':
      return part.delta !== '';
    case 'tool-input-start':
    case 'tool-call':
      return true;
    default:
      return false;
  }
}

interface Taken {
  events: ChatEvent[];
  finish?: Extract<ChatEvent, { type: 'finish' }>;
}

/** Turns the parts of one answer into events. Throws a KimiError when the answer cannot be used. */
function createAnswer(model: ChatModel) {
  const think = createThinkFilter();
  // Those that need a penalty against repetition are those that loop in spite of it.
  const guard = model.profile.repeatPenalty === undefined ? undefined : createRepetitionGuard();
  let budget = model.profile.maxAnswer * MAX_CHARACTERS_PER_TOKEN;
  let written = '';
  let calls = 0;

  function text(delta: string): ChatEvent[] {
    if (delta === '') return [];
    if (written.trim() === '') written += delta;
    return [{ type: 'text', delta }];
  }
  function end(reason: Extract<ChatEvent, { type: 'finish' }>['reason'], usage?: Usage): Taken {
    const events = text(think.flush());
    if (written.trim() === '' && calls === 0) {
      throw failed(model, reason === 'length' ? 'only reasoned, and gave no answer' : 'gave an empty answer');
    }
    return {
      events,
      finish: { type: 'finish', reason, inputTokens: usage?.input, outputTokens: usage?.output },
    };
  }

  return {
    take(part: LanguageModelV3StreamPart): Taken {
      switch (part.type) {
        case 'text-delta': {
          const events = text(think.push(part.delta));
          budget -= Math.max(part.delta.length, 1);
          if (budget < 0) return withBefore(events, end('length'));
          if (guard?.push(part.delta)) return withBefore(events, end('repetition'));
          return { events };
        }
        case 'reasoning-delta':
        case 'tool-input-delta':
          budget -= Math.max(part.delta.length, 1);
          return budget < 0 ? end('length') : { events: [] };
        case 'tool-call':
          calls++;
          return { events: [{ type: 'tool-call', call: part }] };
        case 'error':
          throw asModelError(model, part.error);
        case 'finish': {
          const { unified } = part.finishReason;
          if (unified === 'error') throw failed(model, 'ended with an error');
          const reason = calls > 0 ? 'tool-calls' : unified === 'length' ? 'length' : 'stop';
          return end(reason, {
            input: part.usage.inputTokens.total,
            output: part.usage.outputTokens.total,
          });
        }
        default:
          return { events: [] };
      }
    },
  };
}

interface Usage {
  input: number | undefined;
  output: number | undefined;
}

function withBefore(events: readonly ChatEvent[], taken: Taken): Taken {
  return { ...taken, events: [...events, ...taken.events] };
}

function failed(model: ChatModel, what: string): KimiError {
  return new KimiError(
    `The model ${model.ref} ${what}. Ask again, or choose another with \`kimi models use NAME\`.`,
    {
      code: 'model_failed',
      retryable: true,
    },
  );
}

/** Providers of others throw errors of their own; those belong to the model, not to us. */
function asModelError(model: ChatModel, error: unknown): KimiError {
  if (error instanceof KimiError) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new KimiError(
    `The model ${model.ref} failed: ${message}. Ask again, or choose another with \`kimi models use NAME\`.`,
    { code: 'model_failed', retryable: true, cause: error },
  );
}

function tooLate(model: ChatModel, ms: number, first: boolean): KimiError {
  const seconds = `${Math.round(ms / 100) / 10} s`;
  const what = first
    ? `wrote nothing within ${seconds}`
    : `fell silent for ${seconds} in the middle of its answer`;
  const key = first ? 'models.firstTokenSeconds' : 'models.silenceSeconds';
  return new KimiError(
    `The model ${model.ref} ${what}. Ask again; if this machine is slow, raise ${key}, or choose a smaller model with \`kimi models use NAME\`.`,
    { code: 'model_timeout', retryable: true },
  );
}

function stopped(): KimiError {
  return new KimiError('Stopped.', { code: 'stopped' });
}

function orAborted<Value>(promise: Promise<Value>, signal: AbortSignal): Promise<Value> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(stopped());
    if (signal.aborted) return abort();
    signal.addEventListener('abort', abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}
