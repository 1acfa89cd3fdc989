import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { configGuide, editDistance } from '../src/config/guide.ts';
import { expandHome, homePath, prepareHome } from '../src/config/home.ts';
import { initialConfig } from '../src/config/initial.ts';
import { type LoadedConfig, loadConfig } from '../src/config/load.ts';
import { type ConfigStore, createConfigStore } from '../src/config/store.ts';
import { configJsonSchema, configSchema } from '../src/config.ts';
import { KimiError } from '../src/errors.ts';

let home: string;

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'kimi-config-'));
});

afterEach(() => {
  rmSync(home, { recursive: true, force: true });
});

function write(text: string, name = 'config.yaml', mode = 0o600): string {
  const path = join(home, name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
  chmodSync(path, mode);
  return path;
}

function load(text: string, env: Record<string, string> = {}): LoadedConfig {
  write(text);
  return loadConfig(home, env);
}

/** The problems that a configuration has, without the path of the file. */
function problems(text: string, env: Record<string, string> = {}): string[] {
  try {
    load(text, env);
  } catch (error) {
    if (!(error instanceof KimiError)) throw error;
    expect(error.code).toBe('config_invalid');
    return error.message.split('\n').map((line) => {
      expect(line.startsWith(`${join(home, 'config.yaml')}:`)).toBe(true);
      return line.slice(join(home, 'config.yaml').length + 1);
    });
  }
  return [];
}

describe('what is wrong says where, and what to write', () => {
  test.each([
    // Unknown and misspelt keys.
    ['modles: {}', '1:1: modles: unknown key; did you mean models?'],
    ['models:\n  concurency: 2', '2:3: models.concurency: unknown key; did you mean concurrency?'],
    [
      'channels:\n  telegram:\n    api_root: x',
      '3:5: channels.telegram.api_root: unknown key; did you mean apiRoot?',
    ],
    ['log: { levle: info }', '1:8: log.levle: unknown key; did you mean level?'],
    ['telegram: {}', '1:1: telegram: unknown key; it belongs at channels.telegram'],
    ['tokn: x', '1:1: tokn: unknown key; did you mean channels.telegram.token?'],
    ['__proto__: {}', '1:1: __proto__: unknown key; the nearest at the top is log'],
    ['<<: {}', '1:1: <<: unknown key'],
    // Values.
    [
      'models: { concurrency: 0 }',
      '1:24: models.concurrency: must be a whole number from 1 to 256, but is "0"',
    ],
    [
      'models: { concurrency: four }',
      '1:24: models.concurrency: must be a whole number from 1 to 256, but is "four"',
    ],
    ['models: { firstTokenSeconds: 0 }', 'must be a number above 0 to 86400, but is "0"'],
    [
      'models:\n  providers:\n    embedded: { threads: 0 }',
      '3:26: models.providers.embedded.threads: must be a whole',
    ],
    ['models: { chat: gpt }', 'models.chat: must be text such as auto or ollama/qwen3:8b, or a list'],
    ['models: { chat: [] }', 'models.chat: must be'],
    ['models: { embedding: 3 }', 'models.embedding: must be text such as auto or none'],
    [
      'models:\n  providers:\n    ollama: { baseUrl: localhost:11434 }',
      '3:24: models.providers.ollama.baseUrl: must be an http',
    ],
    ['models: { providers: { ollama: { keepAlive: 30 } } }', 'keepAlive: must be text such as 90s or 30m'],
    ['models: { providers: { embedded: { gpu: yes } } }', 'gpu: must be true or false, but is "yes"'],
    [
      'models: { providers: { embedded: { download: no } } }',
      'download: must be one of starter, never, but is "no"',
    ],
    ['access: { policy: ask }', 'access.policy: must be one of pairing, allowlist, open, but is "ask"'],
    [
      'access:\n  allow:\n    - telegram:1\n    - 1001',
      '4:7: access.allow[1]: must be text such as telegram:1001',
    ],
    ['access: { allow: telegram:1 }', 'access.allow: must be a list, each item text such as telegram:1001'],
    ['assistant: []', '1:12: assistant: must be a section with the keys name, persona'],
    ['assistant: { name: "" }', 'assistant.name: must be text of 1 to 60 characters'],
    ['just text', '1:1: must be a section with the keys assistant, models'],
    ['- a', '1:1: must be a section'],
    // YAML.
    [
      'log:\n  level: info\n  level: warn',
      '3:3: log.level: is there already, on line 2; keep one of the two',
    ],
    ['log:\n\tlevel: info', '2:1: a tab at the start of a line; indent with spaces'],
    ['log:\n  level: info\n   x: 1', '2:10: the indentation does not fit'],
    ['log: { level: info', 'not closed'],
    ['assistant: { name: "Kimi }', 'Missing closing'],
    ['channels: { telegram: { token: ${T} } }', 'put values with ${...} in quotes'],
    ['log: &l {}\nmodels: *l', '2:9: models: aliases (*l) are not supported; write the value out'],
    ['log: {}\n---\nlog: {}', '2:1: a second document begins here; remove the line ---'],
    ['assistant: { name: !secret x }', 'Unresolved tag: !secret; put the value in quotes'],
    // Values from elsewhere.
    ['channels: { telegram: { token: file:absent } }', '/absent does not exist; write the value into it'],
    [
      'channels: { telegram: { token: "${TOKEN" } }\nlog: { level: "${1X}" }',
      '2:15: log.level: ${1X} names no variable',
    ],
  ])('%j', (text, expected) => {
    const found = problems(text);
    expect(found.filter((line) => line.includes(expected))).toHaveLength(1);
  });

  test('all problems at once, in the order of the file', () => {
    const found = problems('log: { level: loud }\nacess: {}\nmodels:\n  concurrency: x\n  concurrency: 2\n');
    expect(found.map((line) => line.split(':')[0])).toEqual(['1', '2', '4', '5']);
  });

  test('a secret that is wrong is not shown, nor is what a variable holds', () => {
    const [token] = problems('channels: { telegram: { token: 777000111 } }');
    expect(token).toMatch(/^1:32: channels\.telegram\.token: must be text/);
    expect(token).not.toContain('777000111');
    const [address] = problems('channels: { telegram: { apiRoot: "${ROOT}" } }', { ROOT: 'swordfish' });
    expect(address).toContain('but is "${ROOT}"');
    expect(address).not.toContain('swordfish');
  });

  test.runIf(process.getuid?.() !== 0)('a file that cannot be read', () => {
    write('log: {}', 'config.yaml', 0o000);
    expect(() => loadConfig(home, {})).toThrow(/1:1: cannot be read \(EACCES\); make this user its owner/);
  });

  test('a folder in its place, a file far too large', () => {
    mkdirSync(join(home, 'config.yaml'));
    expect(() => loadConfig(home, {})).toThrow(/is a folder; move it away/);
    rmSync(join(home, 'config.yaml'), { recursive: true });
    write(`# ${'x'.repeat(1 << 20)}`);
    expect(() => loadConfig(home, {})).toThrow(/is larger than 1 MiB/);
  });
});

describe('what holds', () => {
  const defaults = configSchema.parse({});

  test.each([
    ['no file', undefined],
    ['an empty file', ''],
    ['a file of comments', '# nothing\n'],
    [
      'sections whose keys are all commented out',
      'models:\n  # chat: auto\nchannels:\n  telegram:\n    # token: x\n',
    ],
    ['a byte order mark and CRLF', '\uFEFFlog:\r\n  level: info\r\n'],
  ])('%s: every default', (_name, text) => {
    if (text !== undefined) write(text);
    const loaded = loadConfig(home, {});
    expect(loaded.config).toEqual(defaults);
    expect(loaded).toMatchObject({ secrets: [], warnings: [], notes: [], path: join(home, 'config.yaml') });
  });

  test('it is frozen all the way down', () => {
    const { config } = load('access: { allow: [telegram:1] }');
    expect(() => Object.assign(config.log, { level: 'debug' })).toThrow(TypeError);
    expect(() => config.access.allow.push('telegram:2')).toThrow(TypeError);
  });

  test('addresses come without a trailing slash', () => {
    const { config } = load('channels: { telegram: { apiRoot: http://127.0.0.1:8081/ } }');
    expect(config.channels.telegram.apiRoot).toBe('http://127.0.0.1:8081');
  });

  test('the file that the first start writes says exactly what holds without it', () => {
    const { config, notes, warnings } = load(initialConfig());
    expect(config).toEqual(defaults);
    expect(warnings).toEqual([]);
    expect(notes).toEqual([
      expect.stringMatching(/channels\.telegram\.token: TELEGRAM_BOT_TOKEN is not set/),
      expect.stringMatching(/channels\.slack\.botToken: SLACK_BOT_TOKEN is not set/),
      expect.stringMatching(/channels\.slack\.appToken: SLACK_APP_TOKEN is not set/),
      expect.stringMatching(/channels\.discord\.token: DISCORD_TOKEN is not set/),
    ]);
    expect(load(initialConfig(), { TELEGRAM_BOT_TOKEN: 'a-token' }).config.channels.telegram.token).toBe(
      'a-token',
    );
  });
});

describe('${ENV} and file:', () => {
  const token = (value: string, env: Record<string, string> = {}) =>
    load(`channels:\n  telegram:\n    token: ${value}\n`, env);

  test('a variable, quoted or not', () => {
    for (const written of ['"${T}"', "'${T}'", '${T}']) {
      const loaded = token(written, { T: 'from-env' });
      expect(loaded.config.channels.telegram.token).toBe('from-env');
      expect(loaded.secrets).toEqual(['from-env']);
    }
  });

  test('an unset or empty variable leaves the key out, and says so with its place', () => {
    for (const env of [{}, { T: '' }]) {
      const loaded = token('"${T}"', env);
      expect(loaded.config.channels.telegram).not.toHaveProperty('token');
      expect(loaded.secrets).toEqual([]);
      expect(loaded.notes).toEqual([
        `${join(home, 'config.yaml')}:3:12: channels.telegram.token: T is not set, so this key counts as left out`,
      ]);
    }
    const { config } = load('models: { concurrency: "${N}" }\naccess: { allow: ["${A}", telegram:2] }');
    expect(config.models.concurrency).toBe(4);
    expect(config.access.allow).toEqual(['telegram:2']);
  });

  test('defaults, parts of a text, and an escape', () => {
    const { config } = load(
      'assistant: { name: "${NAME:-Ki${X}}", persona: "$${NAME} costs $5" }\nchannels: { telegram: { apiRoot: "http://${HOST}:${PORT:-81}" } }',
      { HOST: 'h', X: 'unused' },
    );
    expect(config.assistant).toEqual({ name: 'Ki${X}', persona: '${NAME} costs $5' });
    expect(config.channels.telegram.apiRoot).toBe('http://h:81');
  });

  test('what a variable holds becomes a number or a truth value where one belongs', () => {
    const { config } = load(
      'models: { concurrency: "${N}", providers: { embedded: { gpu: "${G}" } } }\nassistant: { name: "${N}" }',
      { N: '12', G: 'false' },
    );
    expect(config.models.concurrency).toBe(12);
    expect(config.models.providers.embedded.gpu).toBe(false);
    expect(config.assistant.name).toBe('12');
  });

  test('a file, relative to the home or anywhere, without its last newline', () => {
    write('from-file\n', 'secrets/token');
    for (const written of [
      'file:secrets/token',
      'file:~/.kimi/secrets/token',
      `file:${home}/secrets/token`,
    ]) {
      const loaded = token(written);
      expect(loaded.config.channels.telegram.token).toBe('from-file');
      expect(loaded.secrets).toEqual(['from-file']);
      expect(loaded.warnings).toEqual([]);
    }
    expect(token('"file:${DIR}/token"', { DIR: join(home, 'secrets') }).secrets).toEqual(['from-file']);
  });

  test('an empty file is an error; a variable that only looks like file: is not followed', () => {
    write('\n', 'empty');
    expect(problems('channels: { telegram: { token: file:empty } }')[0]).toContain(
      'is empty; write the value into it',
    );
    expect(token('"${T}"', { T: 'file:empty' }).config.channels.telegram.token).toBe('file:empty');
  });

  test('a secret in the clear is kept from logs, and warned about where others can read it', () => {
    expect(token('literal-token')).toMatchObject({ secrets: ['literal-token'], warnings: [] });
    chmodSync(join(home, 'config.yaml'), 0o644);
    expect(loadConfig(home, {}).warnings).toEqual([
      expect.stringMatching(/holds a secret in the clear and can be read by others; run: chmod 600 /),
    ]);
    write('channels: { telegram: { token: "${T:-literal}" } }', 'config.yaml', 0o640);
    expect(loadConfig(home, {}).warnings).toHaveLength(1);
    for (const text of [
      'channels: { telegram: { token: "${T}" } }',
      'channels: { telegram: { token: "" } }',
    ]) {
      write(text, 'config.yaml', 0o644);
      expect(loadConfig(home, { T: 'x' }).warnings).toEqual([]);
    }
  });

  test('a secret file that others can read is warned about', () => {
    const path = write('from-file', 'token', 0o644);
    expect(token('file:token').warnings).toEqual([`${path} can be read by others; run: chmod 600 '${path}'`]);
  });
});

describe('the schema', () => {
  test('has fewer than 100 keys', () => {
    const keys = configGuide().keys();
    expect(keys).toContain('models.providers.embedded.path');
    expect(keys.length).toBeLessThan(100);
  });

  test('is JSON Schema in which nothing has to be written, and nothing unknown may be', () => {
    const schema = configJsonSchema();
    expect(schema).toMatchObject({
      $schema: expect.stringContaining('2020-12'),
      additionalProperties: false,
    });
    // An exception to the rules of access must say whom it is about; nothing else has to be written.
    expect(JSON.stringify(schema).match(/"required":\[[^\]]*\]/g)).toEqual(['"required":["match"]']);
  });

  test('every key that sounds like a secret is marked as one', () => {
    const guide = configGuide();
    const sounding = guide.keys().filter((key) => /(token|secret|password|apiKey)$/i.test(key));
    expect(sounding).toContain('channels.telegram.token');
    expect(sounding.filter((key) => !guide.isSecret(key.split('.')))).toEqual([]);
    expect(guide.isSecret(['channels', 'telegram', 'apiRoot'])).toBe(false);
  });

  test.each([
    ['', '', 0],
    ['abc', '', 3],
    ['kitten', 'sitting', 3],
    ['levle', 'level', 1],
    ['ca', 'abc', 3],
  ])('edit distance of %j and %j', (a, b, distance) => {
    expect(editDistance(a, b)).toBe(distance);
    expect(editDistance(b, a)).toBe(distance);
  });
});

describe('KIMI_HOME', () => {
  test('is ~/.kimi, or where the variable says', () => {
    expect(homePath({})).toBe(join(homedir(), '.kimi'));
    expect(homePath({ KIMI_HOME: ' ' })).toBe(join(homedir(), '.kimi'));
    expect(homePath({ KIMI_HOME: '~/k' })).toBe(join(homedir(), 'k'));
    expect(homePath({ KIMI_HOME: 'k' })).toBe(join(process.cwd(), 'k'));
  });

  test.each([
    ['~/.kimi', '/k'],
    ['~/.kimi/', '/k'],
    ['~/.kimi/models', '/k/models'],
    ['~/.kimiko', join(homedir(), '.kimiko')],
    ['~', homedir()],
    ['~/models', join(homedir(), 'models')],
    ['models', '/k/models'],
    ['/m', '/m'],
  ])('%s', (path, expected) => {
    expect(expandHome(path, '/k')).toBe(expected);
  });

  test('is made for its owner alone, with a configuration that is not written twice', () => {
    const path = join(home, 'a/b');
    expect(prepareHome({ KIMI_HOME: path })).toBe(path);
    expect(statSync(path).mode & 0o777).toBe(0o700);
    const file = join(path, 'config.yaml');
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(readFileSync(file, 'utf8')).toBe(initialConfig());
    writeFileSync(file, 'log: {}');
    prepareHome({ KIMI_HOME: path });
    expect(readFileSync(file, 'utf8')).toBe('log: {}');
  });

  test('that is a file, or lies below one', () => {
    write('', 'file');
    for (const path of ['file', 'file/below']) {
      expect(() => prepareHome({ KIMI_HOME: join(home, path) })).toThrow(
        expect.objectContaining({
          code: 'home_unusable',
          message: expect.stringContaining('is not a folder'),
        }),
      );
    }
  });

  test.runIf(process.getuid?.() !== 0)('that cannot be written, or belongs to another', () => {
    chmodSync(home, 0o500);
    expect(() => prepareHome({ KIMI_HOME: join(home, 'x') })).toThrow(/cannot be written by this user/);
    chmodSync(home, 0o700);
    expect(() => prepareHome({ KIMI_HOME: '/' })).toThrow(/belongs to user 0/);
  });
});

describe('the store', () => {
  let store: ConfigStore;

  afterEach(() => store.close());

  function open(text: string): ConfigStore {
    write(text);
    store = createConfigStore(home);
    return store;
  }

  /** Resolves with the changed paths of the next change that the store tells of. */
  function nextChange(): Promise<readonly string[]> {
    return new Promise((resolve) => store.watch((_config, changed) => resolve(changed)));
  }

  async function until(condition: () => boolean): Promise<void> {
    for (let tries = 0; tries < 500 && !condition(); tries++)
      await new Promise((wake) => setTimeout(wake, 20));
    expect(condition()).toBe(true);
  }

  test('reload says what changed; secrets of before stay secret', () => {
    open('channels: { telegram: { token: first-token } }\naccess: { allow: [telegram:1] }');
    write(
      'channels: { telegram: { token: second-token } }\naccess: { allow: [telegram:2] }\nlog: { level: warn }',
    );
    const heard: string[][] = [];
    store.watch((config, changed) => heard.push([config.log.level, ...changed]));
    expect(store.reload()).toEqual({
      ok: true,
      changed: ['channels.telegram.token', 'access.allow', 'log.level'],
    });
    expect(heard).toEqual([['warn', 'channels.telegram.token', 'access.allow', 'log.level']]);
    expect(store.secrets()).toEqual(['first-token', 'second-token']);
    const before = store.secrets();
    expect(store.reload()).toEqual({ ok: true, changed: [] });
    expect(store.secrets()).toBe(before);
    expect(heard).toHaveLength(1);
  });

  test('a bad edit keeps the last good configuration until it is corrected', () => {
    open('log: { level: warn }');
    const heard: unknown[] = [];
    store.watch((_config, changed) => heard.push(changed));
    write('log: { level: loud }');
    expect(store.reload()).toMatchObject({ ok: false, changed: [], error: { code: 'config_invalid' } });
    expect(store.current().log.level).toBe('warn');
    expect(store.error()?.message).toContain('log.level: must be one of');
    rmSync(join(home, 'config.yaml'));
    expect(store.reload().error?.message).toContain('is gone. Put it back');
    expect(heard).toEqual([]);
    write('log: { level: warn }');
    expect(store.reload()).toEqual({ ok: true, changed: [] });
    expect(store.error()).toBeUndefined();
  });

  test('a listener that throws does not keep the others from hearing', () => {
    open('');
    const heard: unknown[] = [];
    store.watch(() => {
      throw new Error('not me');
    });
    store.watch((_config, changed) => heard.push(changed));
    write('log: { level: warn }');
    store.reload();
    expect(heard).toEqual([['log.level']]);
  });

  test('an edit in place is seen', async () => {
    open('log: { level: warn }');
    const change = nextChange();
    write('log: { level: error }');
    expect(await change).toEqual(['log.level']);
    expect(store.current().log.level).toBe('error');
  });

  test('an editor that replaces the file is seen, time and again', async () => {
    open('models: { concurrency: 1 }');
    for (const concurrency of [2, 3]) {
      const change = nextChange();
      renameSync(
        write(`models: { concurrency: ${concurrency} }`, 'config.yaml.new'),
        join(home, 'config.yaml'),
      );
      expect(await change).toEqual(['models.concurrency']);
      expect(store.current().models.concurrency).toBe(concurrency);
    }
  });

  test('a file that comes after the start is seen', async () => {
    store = createConfigStore(home);
    const change = nextChange();
    write('log: { level: error }');
    expect(await change).toEqual(['log.level']);
  });

  test('a bad edit is noticed by itself, and so is its correction', async () => {
    open('log: { level: warn }');
    const change = nextChange();
    write('log: { level: [ }');
    await until(() => store.error() !== undefined);
    expect(store.current().log.level).toBe('warn');
    write('log: { level: error }');
    await change;
    expect(store.error()).toBeUndefined();
  });

  test('a bad file at the start is an error', () => {
    write('log: 1');
    expect(() => createConfigStore(home)).toThrow(expect.objectContaining({ code: 'config_invalid' }));
    store = createConfigStore(mkdtempSync(join(home, 'other-')));
  });
});
