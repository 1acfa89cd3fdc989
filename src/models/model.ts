/** What the rest of the program knows of a model. The AI SDK's LanguageModelV3 is the contract; this adds what it lacks. */
import type { LanguageModelV3 } from '@ai-sdk/provider';

/** A model that exists somewhere, running or not. */
export interface ModelInfo {
  /** `provider/name`, as config names it: `ollama/qwen3:8b`, `embedded/SmolLM2-135M-Instruct.Q4_1`. */
  ref: string;
  provider: string;
  name: string;
  /** The family, as far as known (`llama`, `qwen3`, `bert`): picks the profile. */
  family?: string;
  parameters?: number;
  /** Size of the weights in bytes. */
  bytes?: number;
  /** The longest window that the model was made for, in tokens. */
  window?: number;
  /** Runs on somebody else's computer; `auto` never takes such a model. */
  remote?: boolean;
  can: { chat: boolean; embed: boolean; tools: boolean; images: boolean };
}

/** How a model is used. Chosen by profileFor (profiles.ts). */
export interface Profile {
  name: 'tiny' | 'small' | 'medium' | 'large';
  /** Greedy where sampling spoils the answers. */
  temperature: number;
  topP?: number;
  /** Above 1, repeated tokens lose weight; tiny models loop without it. */
  repeatPenalty?: number;
  /** Whether tools are offered at all. */
  tools: boolean;
  /** How much system prompt helps rather than harms: `minimal` is one sentence. */
  systemPrompt: 'minimal' | 'short' | 'full';
  /** Cap on the window, in tokens, whatever the model could take. */
  maxWindow: number;
  /** Cap on an answer, in tokens. */
  maxAnswer: number;
  /** What it may be used for beyond chat. */
  uses: readonly ('chat' | 'distil' | 'review' | 'tools')[];
  /** Whether its first answer in a conversation says that it is only a starter. */
  starter: boolean;
}

/** A model that is ready to be asked. */
export interface ChatModel {
  ref: string;
  language: LanguageModelV3;
  profile: Profile;
  /** The window it actually runs with here, in tokens: prompt and answer together. */
  window: number;
  can: ModelInfo['can'];
  /** The exact count where the engine can tell it; callers fall back on an estimate that errs high. */
  countTokens?(text: string): Promise<number>;
}

/** How far a download or a load has come. `total` is absent while it is not known. */
export interface Progress {
  what: string;
  done: number;
  total?: number;
}

/** A place that models come from. One file and one line in registry.ts add one. */
export interface ModelProvider {
  readonly name: string;
  /** The models that are there now; empty when the provider does not answer. Never rejects. */
  list(signal?: AbortSignal): Promise<ModelInfo[]>;
  /** Whether it answers, in a few words for people, as of the last {@link list}. */
  status?(): { on: boolean; detail: string };
  /** Throws KimiError `not_found` when there is no such model. Loads nothing yet. */
  chat(name: string): Promise<ChatModel>;
  /** Fetches a model by name; resumable. */
  pull?(name: string, onProgress: (progress: Progress) => void, signal: AbortSignal): Promise<ModelInfo>;
  /** Ends what runs on the provider's behalf (child processes, sockets). */
  close(): Promise<void>;
}

/** The small model that is fetched where nothing else can chat. */
export interface Starter {
  /** Whether it is there already. */
  present(): Promise<boolean>;
  /** One line: what is fetched, from where, how big, and how to forbid it. */
  describe(): string;
  /** Fetches it; resumable. Rejects with KimiError `download_failed`, `hash_mismatch` or `stopped`. */
  fetch(onProgress: (progress: Progress) => void, signal: AbortSignal): Promise<void>;
  /** How far a fetch under way has come. */
  progress(): Progress | undefined;
}
