import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  closeSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { createServer, type Server } from 'node:http';
import { type AddressInfo, createServer as createSocketServer, type Server as SocketServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { run as runConfig } from '../src/cli/config.ts';
import type { Finding } from '../src/cli/doctor/check.ts';
import { diagnose, run as runDoctor } from '../src/cli/doctor.ts';
import { socketPath } from '../src/control.ts';

const TOKEN = '777000111:planted-SECRET_token-abcdefghijklmnop';

let home: string;
const servers: (Server | SocketServer)[] = [];

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'kimi-doctor-'));
  vi.stubEnv('KIMI_HOME', home);
});

afterEach(async () => {
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
  await Promise.all(servers.splice(0).map((server) => new Promise((closed) => server.close(closed))));
  rmSync(home, { recursive: true, force: true });
});

/** A server on loopback that answers each path as told, and everything else with 404. */
async function serve(answers: Record<string, { status?: number; body: unknown }>): Promise<string> {
  const server = createServer((request, response) => {
    const answer = answers[request.url ?? ''] ?? { status: 404, body: { ok: false } };
    response.writeHead(answer.status ?? 200, { 'content-type': 'application/json' });
    response.end(JSON.stringify(answer.body));
  });
  servers.push(server);
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** An address at which nothing answers. */
async function nowhere(): Promise<string> {
  const address = await serve({});
  await new Promise((closed) => servers.pop()?.close(closed));
  return address;
}

function configure(text: string): void {
  writeFileSync(join(home, 'config.yaml'), text, { mode: 0o600 });
}

async function finding(name: string): Promise<Finding> {
  const found = (await diagnose(home)).filter((candidate) => candidate.name === name);
  expect(found).toHaveLength(1);
  return found[0] ?? expect.fail();
}

/** A python3 of our own, first and alone on the PATH. */
function stubPython(exitCode: number): void {
  const bin = join(home, 'bin');
  mkdirSync(bin);
  writeFileSync(join(bin, 'python3'), `#!/bin/sh\nexit ${exitCode}\n`, { mode: 0o755 });
  vi.stubEnv('PATH', bin);
}

/** Runs a command; returns its exit code and what it printed. */
async function output(command: () => Promise<number>): Promise<{ code: number; out: string; err: string }> {
  const out = vi.spyOn(console, 'log').mockImplementation(() => {});
  const err = vi.spyOn(console, 'error').mockImplementation(() => {});
  const code = await command();
  return { code, out: out.mock.calls.flat().join('\n'), err: err.mock.calls.flat().join('\n') };
}

describe('kimi doctor', () => {
  test('a new home: nothing fails, and each line has a check', async () => {
    stubPython(0);
    configure(`models: { providers: { ollama: { baseUrl: ${await nowhere()} } } }`);
    const { code, out } = await output(() => runDoctor([]));
    expect(code).toBe(0);
    const names = out.split('\n').map((line) => line.slice(6, 15).trim());
    expect(names).toEqual([
      'node',
      'home',
      'config',
      'disk',
      'database',
      'ollama',
      'embedded',
      'model',
      'telegram',
      'slack',
      'discord',
      'daemon',
    ]);
    expect(out).toMatch(/^ok {4}model .*the starter is fetched at the next start$/m);
    expect(out).toMatch(/^warn {2}daemon +not running\. Run: kimi start$/m);
  });

  test('as JSON; a failure is exit code 1; a word too many is 2', async () => {
    configure('log: { levle: info }');
    const { code, out } = await output(() => runDoctor(['--json']));
    expect(code).toBe(1);
    const findings = JSON.parse(out) as Finding[];
    expect(findings.find((found) => found.name === 'config')).toMatchObject({
      status: 'fail',
      text: expect.stringMatching(/config\.yaml:1:8: log\.levle: unknown key; did you mean level\?$/),
    });
    expect((await output(() => runDoctor(['--jsno']))).code).toBe(2);
  });

  test('every failure says what to do', async () => {
    chmodSync(home, 0o777);
    writeFileSync(join(home, 'kimi.db'), 'no database at all, whatever its name says'.repeat(100));
    configure(`
models: { chat: embedded/absent }
channels: { telegram: { token: "${TOKEN}", apiRoot: "${await nowhere()}" } }`);
    const failed = (await diagnose(home)).filter((found) => found.status === 'fail');
    expect(failed.map((found) => found.name)).toEqual(['home', 'database', 'model', 'telegram']);
    for (const found of failed) expect(found.todo, found.name).toMatch(/^[A-Z]/);
    expect(JSON.stringify(failed)).not.toContain('planted');
  });

  test('a warning of the configuration is passed on', async () => {
    configure(`channels: { telegram: { token: "${TOKEN}", apiRoot: ${await nowhere()} } }`);
    chmodSync(join(home, 'config.yaml'), 0o644);
    expect(await finding('config')).toMatchObject({
      status: 'warn',
      text: expect.stringContaining('can be read by others; run: chmod 600'),
    });
  });

  describe('home', () => {
    test('that others can look into is a warning, that others can write to a failure', async () => {
      chmodSync(home, 0o755);
      expect(await finding('home')).toMatchObject({ status: 'warn', todo: `Run: chmod 700 '${home}'` });
      chmodSync(home, 0o722);
      expect(await finding('home')).toMatchObject({ status: 'fail', todo: `Run: chmod 700 '${home}'` });
    });

    test('whose path is too long for a socket', async () => {
      home = join(home, 'x'.repeat(100));
      expect(await finding('home')).toMatchObject({ status: 'fail', todo: 'Set KIMI_HOME to a shorter one' });
    });

    test('that does not exist is made by the first start', async () => {
      home = join(home, 'none');
      const findings = await diagnose(home);
      expect(findings.filter((found) => found.status === 'fail')).toEqual([]);
      expect(findings.find((found) => found.name === 'config')?.text).toContain('everything has its default');
    });
  });

  describe('database', () => {
    function fill(path: string): Database.Database {
      const database = new Database(path);
      database.pragma('journal_mode = WAL');
      database.exec('CREATE TABLE note (id INTEGER PRIMARY KEY, body TEXT) STRICT');
      const insert = database.prepare('INSERT INTO note (body) VALUES (?)');
      for (let n = 0; n < 2_000; n++) insert.run(`note ${n}`.repeat(10));
      return database;
    }

    test('in use, and left behind by a killed process', async () => {
      const database = fill(join(home, 'kimi.db'));
      expect(await finding('database')).toMatchObject({ status: 'ok' });
      const killed = join(home, 'killed');
      mkdirSync(killed);
      for (const end of ['', '-wal']) cpSync(join(home, `kimi.db${end}`), join(killed, `kimi.db${end}`));
      database.close();
      home = killed;
      expect(await finding('database')).toMatchObject({ status: 'ok' });
    });

    test('that is damaged inside', async () => {
      const path = join(home, 'kimi.db');
      const database = fill(path);
      database.pragma('wal_checkpoint(TRUNCATE)');
      const pages = database.pragma('page_count', { simple: true }) as number;
      database.close();
      const file = openSync(path, 'r+');
      writeSync(file, new Uint8Array(6 * 4096).fill(0xff), 0, 6 * 4096, (pages - 8) * 4096);
      closeSync(file);
      expect(await finding('database')).toMatchObject({
        status: 'fail',
        text: expect.stringContaining('is damaged'),
        todo: expect.stringContaining('put back the newest good copy'),
      });
    });
  });

  describe('model', () => {
    async function ollama(...names: string[]): Promise<string> {
      const body = { models: names.map((name) => ({ name })) };
      return serve({ '/api/tags': { body } });
    }

    test.each([
      ['auto', ['qwen3:8b'], 'ok'],
      ['auto', ['nomic-embed-text:latest'], 'fail'],
      ['auto', [], 'fail'],
      ['ollama/qwen3', ['qwen3:latest'], 'ok'],
      ['ollama/qwen3', ['qwen3:8b'], 'fail'],
      ['[ollama/absent, auto]', ['qwen3:8b'], 'warn'],
      ['embedded/tiny', [], 'ok'],
      ['cloud/anything', [], 'ok'],
    ])('models.chat %s with %j in Ollama and one file: %s', async (chat, names, status) => {
      mkdirSync(join(home, 'models'));
      writeFileSync(join(home, 'models', chat === 'embedded/tiny' ? 'tiny.gguf' : 'all-MiniLM.gguf'), '');
      const address = await ollama(...names);
      configure(
        `models: { chat: ${chat}, providers: { ollama: { baseUrl: "${address}" }, embedded: { download: never } } }`,
      );
      expect(await finding('model')).toMatchObject({ status });
      expect((await finding('ollama')).text).toContain(`with ${names.length} model`);
      expect((await finding('embedded')).text).toBe(`1 model file in ${join(home, 'models')}`);
    });

    test('a file that can chat is a model, with nothing in Ollama', async () => {
      mkdirSync(join(home, 'models'));
      writeFileSync(join(home, 'models', 'tiny.gguf'), '');
      configure(
        `models: { providers: { ollama: { baseUrl: "${await nowhere()}" }, embedded: { download: never } } }`,
      );
      expect(await finding('model')).toMatchObject({ status: 'ok', text: 'models.chat: auto' });
    });

    test('the starter without pip is a warning', async () => {
      stubPython(1);
      configure(`models: { providers: { ollama: { baseUrl: "${await nowhere()}" } } }`);
      expect(await finding('model')).toMatchObject({
        status: 'warn',
        todo: expect.stringContaining('python3-pip'),
      });
    });

    test('an Ollama that is named and does not answer is a warning', async () => {
      configure(`models: { chat: ollama/qwen3, providers: { ollama: { baseUrl: "${await nowhere()}" } } }`);
      expect(await finding('ollama')).toMatchObject({
        status: 'warn',
        todo: expect.stringContaining('ollama serve'),
      });
      expect(await finding('model')).toMatchObject({ status: 'fail' });
    });
  });

  describe('telegram', () => {
    const me = `/bot${TOKEN}/getMe`;
    test.each([
      ['its own token', 200, { ok: true, result: { username: 'kimi_bot' } }, 'ok', "@kimi_bot's"],
      [
        'a token it does not know',
        401,
        { ok: false, description: 'Unauthorized' },
        'fail',
        'refuses the token',
      ],
      ['a bad day', 502, { ok: false }, 'fail', 'status 502'],
    ])('answers to %s', async (_case, status, body, expected, text) => {
      const apiRoot = await serve({ [me]: { status, body } });
      configure(`channels: { telegram: { token: "${TOKEN}", apiRoot: "${apiRoot}" } }`);
      const found = await finding('telegram');
      expect(found).toMatchObject({ status: expected, text: expect.stringContaining(text) });
      expect(JSON.stringify(found)).not.toContain('planted');
    });
  });

  describe('daemon', () => {
    test('of a home whose path is too long for a socket', async () => {
      home = join(home, 'x'.repeat(100));
      mkdirSync(home);
      const socket = createSocketServer();
      await new Promise<void>((listening) => socket.listen(socketPath(home), listening));
      servers.push(socket);
      expect(await finding('daemon')).toMatchObject({ status: 'ok', text: 'running' });
    });

    test('that listens, and one that left its socket behind', async () => {
      const socket = createSocketServer();
      await new Promise<void>((listening) => socket.listen(join(home, 'kimi.sock'), listening));
      servers.push(socket);
      expect(await finding('daemon')).toMatchObject({ status: 'ok', text: 'running' });
      const stale = join(home, 'stale');
      mkdirSync(stale);
      const script = `require('net').createServer().listen(${JSON.stringify(join(stale, 'kimi.sock'))}, () => process.kill(process.pid, 'SIGKILL'))`;
      expect(spawnSync(process.execPath, ['-e', script]).signal).toBe('SIGKILL');
      home = stale;
      expect(await finding('daemon')).toMatchObject({ status: 'warn', text: 'not running' });
    });
  });
});

describe('kimi config', () => {
  test('check says what is on, and never the token', async () => {
    configure(`channels: { telegram: { token: "${TOKEN}" } }\nmodels: { chat: [ollama/a, auto] }`);
    chmodSync(join(home, 'config.yaml'), 0o644);
    const { code, out, err } = await output(() => runConfig(['check']));
    expect(code).toBe(0);
    expect(out).toContain(`${join(home, 'config.yaml')}: ok`);
    expect(out).toMatch(/^ {2}chat +ollama\/a, then auto$/m);
    expect(out).toMatch(/^ {2}telegram +on, by https:\/\/api\.telegram\.org$/m);
    expect(err).toMatch(/^warning: .*holds a secret in the clear/);
    expect(out + err).not.toContain('planted');
  });

  test('check prints each error on the error output', async () => {
    configure('modles: {}\nlog: { level: loud }');
    const { code, out, err } = await output(() => runConfig(['check']));
    expect(code).toBe(1);
    expect(out).toBe('');
    expect(err.split('\n')).toHaveLength(2);
  });

  test('schema is JSON; other words are a usage error', async () => {
    const { code, out } = await output(() => runConfig(['schema']));
    expect(code).toBe(0);
    expect(JSON.parse(out)).toHaveProperty('properties.models.properties.chat');
    for (const args of [[], ['chekc'], ['check', 'more']]) {
      expect((await output(() => runConfig(args))).code).toBe(2);
    }
  });
});
