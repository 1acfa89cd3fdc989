/** The log: pino, one JSON object a line, redacted by field name, by value and by shape. Holds no message text. */
import { type DestinationStream, type Logger, pino } from 'pino';
import { createRedactor } from './redact.ts';

export type Log = Logger;

export interface LogOptions {
  level: string;
  /** Asked for each line, so that secrets learnt after start-up are covered too; the same array costs nothing. */
  secrets: () => readonly string[];
  /** Standard output, unless given. */
  destination?: DestinationStream;
}

const CENSOR = '[redacted]';

/** Fields that hold a secret, in small letters without `-` and `_`: apiKey, api_key and X-Api-Key are one. */
const SECRET_FIELDS = ['token', 'bottoken', 'apptoken', 'accesstoken', 'apikey', 'xapikey', 'authorization'];
const PRIVATE_FIELDS = new Set([
  ...SECRET_FIELDS,
  ...['password', 'secret', 'cookie', 'setcookie'],
  // What people and models write.
  ...['text', 'content', 'caption', 'prompt', 'persona', 'delta', 'answer'],
]);

/** Makes the daemon's log. Secrets are replaced wherever they occur, also within messages, stacks and URLs. */
export function createLog(options: LogOptions): Log {
  const destination = options.destination ?? pino.destination({ dest: 1, sync: true });
  const redact = createRedactor(options.secrets);
  return pino(
    {
      level: options.level,
      base: null,
      formatters: { log: cleanFields },
      // cleanFields has described errors already; pino's own serializer would copy their every property.
      serializers: { err: (error: unknown) => error },
      // Fields bound by log.child() do not pass through formatters.log.
      redact: { paths: ['token', 'apiKey', 'authorization', 'password', 'text', 'content'], censor: CENSOR },
    },
    { write: (line: string) => destination.write(redact(line)) },
  );
}

/** Objects of libraries can be whole worlds (sockets, agents): a line holds this many values of them at most. */
const MAX_VALUES = 300;
const MAX_DEPTH = 8;

function cleanFields(fields: Record<string, unknown>): Record<string, unknown> {
  const budget = { values: MAX_VALUES };
  return Object.fromEntries(cleanEntries(fields, 0, budget));
}

function cleanEntries(fields: object, depth: number, budget: { values: number }): [string, unknown][] {
  return Object.keys(fields).map((key) => {
    if (PRIVATE_FIELDS.has(key.toLowerCase().replace(/[-_]/g, ''))) return [key, CENSOR];
    try {
      return [key, clean((fields as Record<string, unknown>)[key], depth + 1, budget)];
    } catch {
      // A getter may throw; a line in the log must not.
      return [key, '[unreadable]'];
    }
  });
}

function clean(value: unknown, depth: number, budget: { values: number }): unknown {
  if (typeof value === 'bigint') return value.toString();
  if (typeof value !== 'object' || value === null) return value;
  if (depth > MAX_DEPTH || budget.values-- <= 0) return '[cut]';
  if (value instanceof Error) return describeError(value, depth, budget);
  if (ArrayBuffer.isView(value)) return `[${value.byteLength} bytes]`;
  if (Array.isArray(value)) return value.slice(0, 100).map((item) => clean(item, depth + 1, budget));
  if ('toJSON' in value && typeof value.toJSON === 'function')
    return clean(value.toJSON(), depth + 1, budget);
  return Object.fromEntries(cleanEntries(value, depth, budget));
}

/** Only what is known to be harmless: libraries hang whole requests and answers, with people's texts, on errors. */
function describeError(error: Error, depth: number, budget: { values: number }): Record<string, unknown> {
  const { name, message, stack } = error;
  const { code, retryable } = error as { code?: unknown; retryable?: unknown };
  return {
    name,
    message,
    ...(typeof code === 'string' || typeof code === 'number' ? { code } : {}),
    ...(typeof retryable === 'boolean' ? { retryable } : {}),
    stack,
    ...(error.cause === undefined ? {} : { cause: clean(error.cause, depth + 1, budget) }),
    ...(error instanceof AggregateError ? { errors: clean(error.errors, depth + 1, budget) } : {}),
  };
}
