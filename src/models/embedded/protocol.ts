/** What the daemon and the model process say to each other over IPC. Structured clone carries it. */
import type { ErrorCode } from '../../errors.ts';

/** What the process is started with, as JSON in its first argument. */
export interface HostOptions {
  /** Threads for computing; the process takes no more than the cores it may use, whatever this says. */
  threads?: number;
  gpu: boolean;
}

/** A chat model and how it is to be loaded. Requests for another one wait until this one is free. */
export interface ChatSpec {
  path: string;
  /** Tokens a conversation may take, prompt and answer together. */
  window: number;
  /** Conversations at once. Fewer are made when memory runs short. */
  sequences: number;
}

export interface Message {
  role: 'system' | 'user' | 'assistant';
  text: string;
}

export interface GenerateOptions {
  maxTokens?: number;
  temperature: number;
  topP?: number;
  topK?: number;
  seed?: number;
  /** 1 or absent: none. */
  repeatPenalty?: number;
  stop?: string[];
  /** The answer must be JSON, of this schema where one is given. */
  json?: { schema?: unknown };
}

export type Request =
  | { type: 'generate'; model: ChatSpec; messages: Message[]; options: GenerateOptions }
  | { type: 'count'; model: ChatSpec; text: string }
  | { type: 'embed'; path: string; texts: string[] };

export type ToHost = { id: number; request: Request } | { id: number; abort: true };

/** Streamed while an answer is written. */
export interface Delta {
  type: 'text' | 'reasoning';
  delta: string;
}

/** Ends a request. */
export type Result =
  | {
      type: 'generated';
      reason: 'stop' | 'length' | 'repetition';
      inputTokens: number;
      /** How many of them did not have to be read, because a sequence still held them. */
      reusedTokens: number;
      outputTokens: number;
    }
  | { type: 'counted'; tokens: number }
  | { type: 'embedded'; vectors: Float32Array[]; tokens: number };

export interface Failure {
  type: 'failed';
  code: ErrorCode;
  message: string;
  retryable: boolean;
}

export type FromHost =
  | { type: 'ready'; gpu: string | false; threads: number }
  | { type: 'reply'; id: number; reply: Delta | Result | Failure };
