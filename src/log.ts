/** The log: pino, one JSON object a line, redacted by path and by value. Holds no message text. */
import { type DestinationStream, type Logger, pino } from 'pino';

export type Log = Logger;

export interface LogOptions {
  level: string;
  /** Called for each line, so that secrets learnt after start-up are covered too. */
  secrets: () => readonly string[];
  destination?: DestinationStream;
}

/** Field names whose values never belong in a log, at any depth that pino's redaction reaches. */
const SECRET_PATHS = [
  'token',
  'botToken',
  'appToken',
  'apiKey',
  'authorization',
  'password',
  'text',
  'content',
].flatMap((name) => [name, `*.${name}`, `*.*.${name}`]);

/** Makes the daemon's log. Values of known secrets are replaced wherever they occur, also within messages and stacks. */
export function createLog(options: LogOptions): Log {
  const destination = options.destination ?? pino.destination({ dest: 1, sync: true });
  const redacting: DestinationStream = {
    write(line) {
      let clean = line;
      for (const secret of options.secrets()) {
        if (secret.length >= 6) clean = clean.replaceAll(secret, '[redacted]');
      }
      destination.write(clean);
    },
  };
  return pino(
    { level: options.level, base: null, redact: { paths: SECRET_PATHS, censor: '[redacted]' } },
    redacting,
  );
}
