/** Every error class and code of the program, on one page. A message says what happened and ends with what to do. */

/** What a caller may branch on. Texts are for people and may change; codes do not. */
export type ErrorCode =
  | 'config_invalid'
  | 'home_unusable'
  | 'already_running'
  | 'not_running'
  | 'schema_too_new'
  | 'database_corrupt'
  | 'invalid_argument'
  | 'not_found'
  | 'access_denied'
  | 'model_none'
  | 'model_failed'
  | 'model_timeout'
  | 'model_overflow'
  | 'download_failed'
  | 'hash_mismatch'
  | 'network'
  | 'rate_limited'
  | 'unauthorized'
  | 'refused'
  | 'recipient_away'
  | 'stopped'
  | 'internal';

export interface KimiErrorOptions {
  code: ErrorCode;
  /** Whether the same call may succeed later without anything being changed. */
  retryable?: boolean;
  /** With `rate_limited`: how long the other side asked us to wait, in milliseconds. */
  retryAfterMs?: number;
  /** Whether the call may have taken effect although it failed (an answer that was lost on the way). */
  outcomeUnknown?: boolean;
  cause?: unknown;
}

/** The only error that crosses a module boundary. Adapters and models translate what their library throws into it. */
export class KimiError extends Error {
  override readonly name = 'KimiError';
  readonly code: ErrorCode;
  readonly retryable: boolean;
  readonly retryAfterMs: number | undefined;
  readonly outcomeUnknown: boolean;

  constructor(message: string, options: KimiErrorOptions) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = options.code;
    this.retryable = options.retryable ?? false;
    this.retryAfterMs = options.retryAfterMs;
    this.outcomeUnknown = options.outcomeUnknown ?? false;
  }
}

/** Returns `error` when it is ours, else wraps it as `internal`, so that a boundary always holds a KimiError. */
export function asKimiError(error: unknown): KimiError {
  if (error instanceof KimiError) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new KimiError(`${message} (unexpected; \`kimi doctor\` may tell more)`, {
    code: 'internal',
    cause: error,
  });
}
