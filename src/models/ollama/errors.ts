/** What went wrong with Ollama, as an error that says what to do. */
import { KimiError } from '../../errors.ts';
import { GarbledError, HttpStatusError } from './http.ts';

export interface ErrorContext {
  baseUrl: string;
  model?: string;
  /** Whoever may have ended the request: an abort of ours is not Ollama's failure. */
  signals?: readonly AbortSignal[];
}

const NO_ANSWER = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ETIMEDOUT',
  'EAI_AGAIN',
]);

/** Translates whatever the client, the socket or the protocol threw. */
export function ollamaError(error: unknown, { baseUrl, model, signals = [] }: ErrorContext): KimiError {
  if (error instanceof KimiError) return error;
  if (signals.some((signal) => signal.aborted))
    return new KimiError('Stopped.', { code: 'stopped', cause: error });
  const what = model === undefined ? 'Ollama' : `Ollama's model ${model}`;
  const message = error instanceof Error ? error.message : String(error);
  const code = codeOf(error);

  if (error instanceof HttpStatusError) return statusError(error, baseUrl, model);
  if (error instanceof GarbledError || error instanceof SyntaxError) {
    return new KimiError(
      `${what} sent ${error instanceof GarbledError ? message : 'an answer that is not JSON'}. If it happens again, look at what listens on ${baseUrl} and at Ollama's log.`,
      { code: 'model_failed', retryable: true, cause: error },
    );
  }
  if (code !== undefined && NO_ANSWER.has(code)) {
    return new KimiError(
      `Ollama does not answer at ${baseUrl} (${code}). Start it with \`ollama serve\`, or correct models.providers.ollama.baseUrl.`,
      { code: 'network', retryable: true, cause: error },
    );
  }
  if (code === 'ECONNRESET' || code === 'EPIPE' || code === 'ERR_STREAM_PREMATURE_CLOSE' || isCut(message)) {
    return new KimiError(
      `${what} broke off its answer. Ask again; if it happens again, look at Ollama's log: its process may have run out of memory.`,
      { code: 'model_failed', retryable: true, cause: error },
    );
  }
  return new KimiError(`${what} failed: ${message}. Look at Ollama's log if it happens again.`, {
    code: 'model_failed',
    retryable: true,
    cause: error,
  });
}

function statusError(error: HttpStatusError, baseUrl: string, model: string | undefined): KimiError {
  const { status, message } = error;
  if (status === 404 && model !== undefined) {
    return new KimiError(
      `Ollama has no model ${model}. \`kimi models pull ollama/${model}\` gets it, \`kimi models list\` shows what is there.`,
      { code: 'not_found', cause: error },
    );
  }
  if (status === 429) {
    return new KimiError(`Ollama is busy (${message || status}). Try again in a moment.`, {
      code: 'rate_limited',
      retryable: true,
      ...(error.retryAfterMs === undefined ? {} : { retryAfterMs: error.retryAfterMs }),
      cause: error,
    });
  }
  if (status === 401 || status === 403) {
    return new KimiError(
      `${baseUrl} refuses access (${message || status}). Sign in with \`ollama signin\`, or correct models.providers.ollama.baseUrl.`,
      { code: 'unauthorized', cause: error },
    );
  }
  return new KimiError(
    `Ollama failed with status ${status}${message === '' ? '' : `: ${message}`}. Look at Ollama's log, or choose another model with \`kimi models use NAME\`.`,
    { code: 'model_failed', retryable: status >= 500, cause: error },
  );
}

/** The client's own words for a stream that ended before its last object. */
function isCut(message: string): boolean {
  return message.startsWith('Did not receive done') || message === 'aborted' || message === 'terminated';
}

function codeOf(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null) return undefined;
  if ('code' in error && typeof error.code === 'string') return error.code;
  return 'cause' in error ? codeOf(error.cause) : undefined;
}
