/** A loaded chat model: messages → rendered prompt → sequence that remembers most of it → tokens. Model process only. */
import type {
  ChatHistoryItem,
  ChatWrapper,
  Llama,
  LlamaChatResponseChunk,
  LlamaContext,
  LlamaContextSequence,
  LlamaGrammar,
  LlamaModel,
  Token,
} from 'node-llama-cpp';
import { KimiError } from '../../errors.ts';
import { createRepetitionGuard } from '../repetition.ts';
import type { ChatSpec, Delta, GenerateOptions, Message, Result } from './protocol.ts';
import { SequencePool } from './sequences.ts';
import { Turnstile } from './turnstile.ts';

export class ChatRuntime {
  private readonly pool: SequencePool<LlamaContextSequence>;
  private readonly turnstile = new Turnstile();
  private readonly grammars = new Map<string, Promise<LlamaGrammar>>();

  private constructor(
    private readonly llama: Llama,
    private readonly model: LlamaModel,
    private readonly context: LlamaContext,
    private readonly wrapper: ChatWrapper,
  ) {
    const sequences = Array.from({ length: context.totalSequences }, () => context.getSequence());
    for (const sequence of sequences) stepThrough(this.turnstile, sequence);
    this.pool = new SequencePool(sequences);
  }

  /** Loads weights and makes a context. Rejects when the file is bad or memory does not suffice. */
  static async load(llama: Llama, spec: ChatSpec, threads: number): Promise<ChatRuntime> {
    const { resolveChatWrapper } = await import('node-llama-cpp');
    const model = await llama.loadModel({ modelPath: spec.path });
    try {
      const context = await createContext(model, spec, threads);
      return new ChatRuntime(llama, model, context, resolveChatWrapper(model));
    } catch (error) {
      await model.dispose();
      throw error;
    }
  }

  /** Exact number of tokens of a text, special tokens taken as plain text. */
  count(text: string): number {
    return this.model.tokenize(text).length;
  }

  /**
   * Writes an answer. Throws KimiError `model_overflow` when the prompt leaves no room for one, and the signal's
   * reason when aborted.
   */
  async generate(
    messages: readonly Message[],
    options: GenerateOptions,
    signal: AbortSignal,
    emit: (delta: Delta) => void,
  ): Promise<Result> {
    const history = this.history(messages);
    const prompt = this.wrapper
      .generateContextState({ chatHistory: history })
      .contextText.tokenize(this.model.tokenizer);
    const room = this.context.contextSize - prompt.length - 1;
    if (room < 1) {
      throw new KimiError(
        `The prompt has ${prompt.length} tokens, the model's window here ${this.context.contextSize}: shorten the conversation with /new.`,
        { code: 'model_overflow' },
      );
    }
    const grammar = options.json && (await this.grammar(options.json.schema));
    const sequence = await this.pool.take((candidate) => worth(candidate, prompt), signal);
    const before = sequence.tokenMeter.getState();
    try {
      await this.read(sequence, prompt, signal);
      const maxTokens = Math.min(options.maxTokens ?? room, room);
      const answer = await this.write(
        sequence,
        history,
        { ...options, maxTokens },
        grammar,
        signal,
        (chunk) => {
          const type = chunk.type === 'segment' ? 'reasoning' : 'text';
          if (chunk.text !== '') emit({ type, delta: chunk.text });
        },
      );
      const { usedInputTokens } = sequence.tokenMeter.diff(before);
      const reusedTokens = prompt.length - usedInputTokens;
      return { type: 'generated', inputTokens: prompt.length, reusedTokens, ...answer };
    } catch (error) {
      if (!signal.aborted) await this.turnstile.hold(() => sequence.clearHistory());
      throw error;
    } finally {
      this.pool.release(sequence);
    }
  }

  async dispose(): Promise<void> {
    await this.context.dispose();
    await this.model.dispose();
  }

  /**
   * Reads all of the prompt but its last token, from which the answer is written. In pieces, so that an abort and
   * whoever waits at the turnstile do not have to wait for all of it.
   */
  private async read(sequence: LlamaContextSequence, prompt: Token[], signal: AbortSignal): Promise<void> {
    const most = prompt.slice(0, -1);
    await this.turnstile.hold(() => sequence.adaptStateToTokens(most, false));
    while (sequence.nextTokenIndex < most.length) {
      await this.turnstile.pass();
      signal.throwIfAborted();
      const start = sequence.nextTokenIndex;
      await sequence.evaluateWithoutGeneratingNewTokens(most.slice(start, start + this.context.batchSize));
    }
  }

  private async write(
    sequence: LlamaContextSequence,
    history: ChatHistoryItem[],
    options: GenerateOptions & { maxTokens: number },
    grammar: LlamaGrammar | undefined,
    signal: AbortSignal,
    onChunk: (chunk: LlamaChatResponseChunk) => void,
  ) {
    const { LlamaChat } = await import('node-llama-cpp');
    const chat = new LlamaChat({ contextSequence: sequence, chatWrapper: this.wrapper });
    const guard = createRepetitionGuard();
    const loop = new AbortController();
    let outputTokens = 0;
    try {
      const response = await chat.generateResponse(history, {
        signal: AbortSignal.any([signal, loop.signal]),
        stopOnAbortSignal: true,
        maxTokens: options.maxTokens,
        temperature: options.temperature,
        ...(options.topP !== undefined && { topP: options.topP }),
        ...(options.topK !== undefined && { topK: options.topK }),
        ...(options.seed !== undefined && { seed: options.seed }),
        // JSON repeats its own syntax: a penalty on that spoils it.
        repeatPenalty: options.repeatPenalty && !grammar ? { penalty: options.repeatPenalty } : false,
        ...(options.stop?.length && { customStopTriggers: options.stop }),
        ...(grammar && { grammar }),
        onResponseChunk(chunk) {
          outputTokens += chunk.tokens.length;
          onChunk(chunk);
          if (guard.push(chunk.text)) loop.abort();
        },
      });
      const { stopReason } = response.metadata;
      if (stopReason === 'abort' && !loop.signal.aborted) throw signal.reason;
      return { reason: reasonOf(stopReason), outputTokens };
    } finally {
      chat.dispose();
    }
  }

  /** Where the conversation brings no system prompt, the model gets the library's: small models need one to make sense. */
  private history(messages: readonly Message[]): ChatHistoryItem[] {
    const history: ChatHistoryItem[] = messages.some((message) => message.role === 'system')
      ? []
      : this.wrapper.generateInitialChatHistory();
    for (const { role, text } of messages) {
      if (role === 'assistant') history.push({ type: 'model', response: [text] });
      else history.push({ type: role, text });
    }
    if (history.at(-1)?.type !== 'model') history.push({ type: 'model', response: [] });
    return history;
  }

  private grammar(schema: unknown): Promise<LlamaGrammar> {
    const key = JSON.stringify(schema) ?? '';
    const known = this.grammars.get(key);
    if (known) return known;
    if (this.grammars.size >= 32) this.grammars.clear();
    const made =
      schema === undefined
        ? this.llama.getGrammarFor('json')
        : this.llama.createGrammarForJsonSchema(schema as Parameters<Llama['createGrammarForJsonSchema']>[0]);
    this.grammars.set(key, made);
    return made;
  }
}

async function createContext(model: LlamaModel, spec: ChatSpec, threads: number): Promise<LlamaContext> {
  for (let sequences = spec.sequences; ; sequences--) {
    try {
      return await model.createContext({ contextSize: spec.window, sequences, threads });
    } catch (error) {
      if (sequences <= 1) throw error;
    }
  }
}

/** Makes the sequence's answers pass the turnstile at each token. */
function stepThrough(turnstile: Turnstile, sequence: LlamaContextSequence): void {
  const evaluate = sequence.evaluate.bind(sequence);
  sequence.evaluate = async function* steps(tokens, options) {
    const answer = evaluate(tokens, options);
    let instead: Token | Token[] | undefined;
    try {
      while (true) {
        await turnstile.pass();
        const step = await (instead === undefined ? answer.next() : answer.next(instead));
        if (step.done) return;
        instead = (yield step.value) ?? undefined;
      }
    } finally {
      await answer.return();
    }
  };
}

/** Tokens of `prompt` that the sequence holds already, less those of another conversation that it would lose. */
function worth(sequence: LlamaContextSequence, prompt: Token[]): number {
  const kept = sequence.compareContextTokens(prompt).firstDifferentIndex;
  return kept - (sequence.nextTokenIndex - kept);
}

function reasonOf(stopReason: string): 'stop' | 'length' | 'repetition' {
  if (stopReason === 'abort') return 'repetition';
  return stopReason === 'maxTokens' ? 'length' : 'stop';
}
