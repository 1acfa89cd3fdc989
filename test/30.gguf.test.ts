import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { KimiError } from '../src/errors.ts';
import { GGUF_TYPE, readGguf } from '../src/models/gguf.ts';
import { writeGguf } from '../src/models/gguf-writer.ts';
import { writeRandomModel } from './support/random-model.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kimi-gguf-'));
});
afterAll(() => rm(folder, { recursive: true }));

async function file(name: string, bytes: Uint8Array): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, bytes);
  return path;
}

function numbers(...parts: [size: 4 | 8, value: number | bigint][]): Buffer {
  return Buffer.concat(
    parts.map(([size, value]) => {
      const buffer = Buffer.alloc(size);
      if (size === 4) buffer.writeUInt32LE(Number(value));
      else buffer.writeBigUInt64LE(BigInt(value));
      return buffer;
    }),
  );
}

const magic = Buffer.from('GGUF');

describe('misuse', () => {
  test.each([
    ['an empty file', Buffer.alloc(0), /ends too early/],
    ['another format', Buffer.from('PK\x03\x04 and more of it'), /does not begin/],
    ['an old version', Buffer.concat([magic, numbers([4, 1], [8, 0], [8, 0])]), /version 1/],
    [
      'more tensors than can be',
      Buffer.concat([magic, numbers([4, 3], [8, 2n ** 60n], [8, 0])]),
      /claims .* tensors/,
    ],
    [
      'a key longer than the file',
      Buffer.concat([magic, numbers([4, 3], [8, 0], [8, 1], [8, 60_000])]),
      /ends too early/,
    ],
    [
      'an array longer than the file',
      Buffer.concat([
        magic,
        numbers([4, 3], [8, 0], [8, 1], [8, 1]),
        Buffer.from('k'),
        numbers([4, GGUF_TYPE.array], [4, GGUF_TYPE.uint64], [8, 2n ** 62n]),
      ]),
      /ends too early/,
    ],
    [
      'an array of texts that never ends',
      Buffer.concat([
        magic,
        numbers([4, 3], [8, 0], [8, 1], [8, 1]),
        Buffer.from('k'),
        numbers([4, GGUF_TYPE.array], [4, GGUF_TYPE.string], [8, 2n ** 62n], [8, 0], [8, 0]),
      ]),
      /list of .* texts/,
    ],
    [
      'a value of no known type',
      Buffer.concat([magic, numbers([4, 3], [8, 0], [8, 1], [8, 1]), Buffer.from('k'), numbers([4, 99])]),
      /type 99/,
    ],
  ])('%s is refused', async (name, bytes, reason) => {
    const path = await file(`${name}.gguf`, bytes);
    await expect(readGguf(path)).rejects.toThrow(reason);
    await expect(readGguf(path)).rejects.toMatchObject({ code: 'invalid_argument' });
  });

  test('a file cut before its last tensor is refused', async () => {
    const path = join(folder, 'whole.gguf');
    await writeRandomModel(path);
    const bytes = await readFile(path);
    const { tensors, dataOffset } = await readGguf(path);
    const last = Math.max(...tensors.map((tensor) => tensor.offset));
    const cut = await file('cut.gguf', bytes.subarray(0, dataOffset + last));
    await expect(readGguf(cut)).rejects.toThrow(/before its last tensor/);
  });

  test('any change of any byte gives a header or a KimiError, nothing else', async () => {
    const path = join(folder, 'model.gguf');
    await writeRandomModel(path);
    const { dataOffset } = await readGguf(path);
    const bytes = (await readFile(path)).subarray(0, dataOffset + 64);
    await fc.assert(
      fc.asyncProperty(
        fc.nat(bytes.length - 1),
        fc.integer({ min: 0, max: 255 }),
        fc.nat(bytes.length),
        async (at, value, length) => {
          const changed = Buffer.from(bytes.subarray(0, length));
          if (at < length) changed[at] = value;
          const result = await readGguf(await file('changed.gguf', changed)).catch((error) => error);
          expect(result instanceof KimiError || result.metadata instanceof Map).toBe(true);
        },
      ),
      { numRuns: 300 },
    );
  });

  test('a tensor of another size than it claims is not written', async () => {
    const tensor = { name: 't', dimensions: [4], type: 'F32' as const, data: () => new Uint8Array(15) };
    await expect(writeGguf(join(folder, 'bad.gguf'), {}, [tensor])).rejects.toThrow(RangeError);
  });
});

test('what is written is read', async () => {
  const path = join(folder, 'written.gguf');
  const data = Uint8Array.from({ length: 68 }, (_, index) => index);
  await writeGguf(
    path,
    {
      'general.architecture': { type: 'string', value: 'llama – ü' },
      'a.uint32': { type: 'uint32', value: 4_000_000_000 },
      'a.int32': { type: 'int32', value: -5 },
      'a.float32': { type: 'float32', value: 0.5 },
      'a.uint64': { type: 'uint64', value: 2 ** 40 },
      'a.bool': { type: 'bool', value: true },
      'a.list': { type: 'array', of: 'int32', value: [3, -1, 2] },
      'a.long': { type: 'array', of: 'float32', value: Array.from({ length: 2_000 }, () => 1) },
      'a.texts': { type: 'array', of: 'string', value: ['a', 'b'] },
      'z.last': { type: 'uint32', value: 7 },
    },
    [
      { name: 'first', dimensions: [1], type: 'F16', data: () => new Uint8Array([1, 2]) },
      { name: 'second', dimensions: [32, 2], type: 'Q8_0', data: () => data },
    ],
  );

  const header = await readGguf(path);

  expect(Object.fromEntries(header.metadata)).toEqual({
    'general.architecture': 'llama – ü',
    'a.uint32': 4_000_000_000,
    'a.int32': -5,
    'a.float32': 0.5,
    'a.uint64': 2 ** 40,
    'a.bool': true,
    'a.list': [3, -1, 2],
    'z.last': 7,
  });
  expect(header.tensors).toEqual([
    { name: 'first', dimensions: [1], type: 1, offset: 0 },
    { name: 'second', dimensions: [32, 2], type: 8, offset: 32 },
  ]);
  const written = await readFile(path);
  const start = header.dataOffset + 32;
  expect([...written.subarray(start, start + data.length)]).toEqual([...data]);
  expect(header.dataOffset % 32).toBe(0);
});

test('the same random model is the same file', async () => {
  const [one, two] = [join(folder, 'one.gguf'), join(folder, 'two.gguf')];
  await writeRandomModel(one, { seed: 5 });
  await writeRandomModel(two, { seed: 5 });
  expect((await readFile(one)).equals(await readFile(two))).toBe(true);
});
