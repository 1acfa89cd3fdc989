import { describe, expect, test } from 'vitest';
import { KimiError } from '../src/errors.ts';
import { createLog, type Log } from '../src/log.ts';
import { createRedactor } from '../src/redact.ts';

const TOKEN = '777000111:planted-SECRET_token-abcdefghijklmnop';
const AWKWARD = 'a"b\\c\nd/e?f g=é+h';

/** A log that keeps its lines, and the secrets it knows. */
function listen(
  secrets: readonly string[] = [TOKEN, AWKWARD],
  level = 'debug',
): { log: Log; lines: string[] } {
  const lines: string[] = [];
  const log = createLog({
    level,
    secrets: () => secrets,
    destination: { write: (line) => lines.push(line) },
  });
  return { log, lines };
}

function only(lines: readonly string[]): Record<string, unknown> {
  expect(lines).toHaveLength(1);
  return JSON.parse(lines[0] ?? '') as Record<string, unknown>;
}

describe('a known secret never comes out', () => {
  const places: Record<string, (log: Log, secret: string) => void> = {
    'in a message': (log, secret) => log.info(`calling with ${secret}`),
    'in a field': (log, secret) => log.info({ harmless: secret }, 'x'),
    'deep in fields': (log, secret) => log.info({ a: { b: [{ c: { d: { e: `<${secret}>` } } }] } }, 'x'),
    'as a key': (log, secret) => log.info({ [secret]: 1 }, 'x'),
    'in a format argument': (log, secret) => log.info('calling %s', secret),
    'in an error': (log, secret) => log.error(new Error(`no: ${secret}`)),
    'in an error field': (log, secret) => log.error({ err: new Error(`no: ${secret}`) }, 'x'),
    'in an error under another name': (log, secret) => log.error({ failure: new Error(secret) }, 'x'),
    'in the cause of a cause': (log, secret) => {
      const cause = new Error('middle', { cause: new Error(secret) });
      log.error({ err: new KimiError('outer', { code: 'network', cause }) }, 'x');
    },
    'in an aggregate': (log, secret) => log.error(new AggregateError([new Error(secret)], 'all failed')),
    'in what a library hangs on an error': (log, secret) =>
      log.error({ err: Object.assign(new Error('no'), { request: { headers: { x: secret } } }) }, 'x'),
    'in a URL': (log, secret) =>
      log.warn({ url: `https://api.example/bot${encodeURIComponent(secret)}/getMe` }, 'x'),
    'in a URL object': (log, secret) =>
      log.warn({ url: new URL(`https://api.example/?t=${encodeURIComponent(secret)}`) }, 'x'),
    'in JSON within a text': (log, secret) => log.warn({ body: JSON.stringify({ t: secret }) }, 'x'),
    'bound to a child': (log, secret) => log.child({ who: secret }).info('x'),
    'bound to a child as a token': (log, secret) => log.child({ token: secret }).info('x'),
  };
  for (const [place, write] of Object.entries(places)) {
    test.each([
      ['a token', TOKEN],
      ['one with quotes, a newline and an accent', AWKWARD],
    ])(`${place}: %s`, (_kind, secret) => {
      const { log, lines } = listen();
      write(log, secret);
      only(lines);
      const line = lines.join('');
      expect(line).not.toContain(secret);
      expect(line).not.toContain(JSON.stringify(secret).slice(1, -1));
      expect(line).not.toContain(encodeURIComponent(secret));
    });
  }
});

test('a secret learnt later is covered, and one that begins another does not leave its end behind', () => {
  let secrets: string[] = [];
  const lines: string[] = [];
  const log = createLog({
    level: 'info',
    secrets: () => secrets,
    destination: { write: (line) => lines.push(line) },
  });
  log.info('hunter2-before');
  secrets = ['hunter2', 'hunter2-extended'];
  log.info('hunter2 and hunter2-extended');
  expect(lines[0]).toContain('hunter2-before');
  expect(lines[1]).toContain('"[redacted] and [redacted]"');
});

test('a value too short to be a secret does not take words out of the log', () => {
  const { log, lines } = listen(['', 'a', 'info']);
  log.info('a line of information');
  expect(only(lines).msg).toBe('a line of information');
});

describe('what people and models write does not come out', () => {
  test.each(['text', 'content', 'caption', 'prompt', 'answer'])('field %s, at any depth', (field) => {
    const { log, lines } = listen([]);
    log.info({ [field]: 'dear diary', a: { b: [{ c: { [field]: { inner: 'dear diary' } } }] } }, 'x');
    log.child({ [field]: 'x' }).info({ [field]: 'dear diary' }, 'x');
    expect(lines.join('')).not.toContain('dear diary');
  });

  test.each(['token', 'botToken', 'apiKey', 'api_key', 'X-Api-Key', 'Authorization', 'password'])(
    'nor does field %s, known secret or not',
    (field) => {
      const { log, lines } = listen([]);
      log.info({ config: { [field]: 'swordfish' } }, 'x');
      expect(only(lines).config).toEqual({ [field]: '[redacted]' });
    },
  );

  test('bytes are counted, not written', () => {
    const { log, lines } = listen();
    log.info({ file: Buffer.from('dear diary'), other: new Uint8Array(3) }, 'x');
    expect(only(lines)).toMatchObject({ file: '[10 bytes]', other: '[3 bytes]' });
  });
});

describe('credentials that nobody told the log about', () => {
  test.each([
    ['a Telegram token', 'bot123456789:AAHfiqksKZ8WmR2zSjiQ7_v4TMAKdiHm9T0'],
    ['a Slack token', 'xoxb-123456789012-abcdefGHIJKL'],
    ['an API key', 'sk-proj-abcdefghijklmnopqrstuvwx'],
  ])('%s', (_kind, credential) => {
    const redact = createRedactor(() => []);
    expect(redact(`GET https://host/hook/${credential}/x`)).not.toContain(credential.slice(-12));
    expect(redact(`it is ${credential}.`)).not.toContain(credential.slice(-12));
  });

  test('a bearer token and the password in a URL', () => {
    const redact = createRedactor(() => []);
    expect(redact('Authorization: Bearer abc.def-123456')).toBe('Authorization: Bearer [redacted]');
    expect(redact('http://me:swordfish@proxy:3128/x')).toBe('http://me:[redacted]@proxy:3128/x');
  });

  test('times, addresses and ids stay', () => {
    const redact = createRedactor(() => []);
    const line =
      '{"time":1767225600000,"url":"http://127.0.0.1:11434/api/tags","task":"task-1","at":"12:30:45"}';
    expect(redact(line)).toBe(line);
  });
});

describe('a line is always a line', () => {
  test('of what was logged', () => {
    const { log, lines } = listen();
    log.warn({ channel: 'telegram', count: 3, nested: { ok: true, none: null } }, 'polling again');
    expect(only(lines)).toMatchObject({
      level: 40,
      channel: 'telegram',
      count: 3,
      nested: { ok: true, none: null },
      msg: 'polling again',
    });
  });

  test('of an error: its name, code, message, stack and cause', () => {
    const { log, lines } = listen();
    const cause = Object.assign(new Error('connect refused'), { code: 'ECONNREFUSED' });
    log.error({ err: new KimiError('no answer', { code: 'network', retryable: true, cause }) }, 'x');
    expect(only(lines).err).toMatchObject({
      name: 'KimiError',
      code: 'network',
      retryable: true,
      message: 'no answer',
      stack: expect.stringContaining('11.log.test.ts'),
      cause: { code: 'ECONNREFUSED', message: 'connect refused' },
    });
  });

  test('of circular, huge and hostile values', () => {
    const { log, lines } = listen();
    const circular: Record<string, unknown> = { name: 'loop' };
    circular.self = circular;
    circular.pair = [circular, circular];
    const hostile = {
      big: 12n,
      get broken(): never {
        throw new Error('no');
      },
    };
    const wide = Array.from({ length: 1_000 }, (_, n) => ({
      n,
      more: Array.from({ length: 50 }, () => ({})),
    }));
    log.info({ circular, hostile, wide }, 'x');
    expect(only(lines)).toMatchObject({ hostile: { big: '12', broken: '[unreadable]' } });
    expect(lines.join('').length).toBeLessThan(50_000);
  });

  test('below the level, nothing is looked at', () => {
    const { log, lines } = listen([], 'warn');
    const never = {
      get text(): never {
        throw new Error('read');
      },
      toJSON(): never {
        throw new Error('read');
      },
    };
    log.debug(never, 'x');
    expect(lines).toEqual([]);
  });
});
