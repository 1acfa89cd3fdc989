/** Reads what a GGUF file says of itself without loading it: bytes → bounded cursor → metadata and tensor list. */
import { type FileHandle, open } from 'node:fs/promises';
import { KimiError } from '../errors.ts';

/** Numbers of the value types, from the GGUF specification. */
export const GGUF_TYPE = {
  uint8: 0,
  int8: 1,
  uint16: 2,
  int16: 3,
  uint32: 4,
  int32: 5,
  float32: 6,
  bool: 7,
  string: 8,
  array: 9,
  uint64: 10,
  int64: 11,
  float64: 12,
} as const;

/** A value as read: 64-bit integers lose precision beyond 2^53, which no real file needs. */
export type GgufValue = string | number | boolean | number[];

export interface GgufTensor {
  name: string;
  /** Fastest-moving dimension first, as in the file. */
  dimensions: number[];
  /** Number of the ggml type: 0 F32, 1 F16, 8 Q8_0. */
  type: number;
  /** Bytes from the start of the tensor data. */
  offset: number;
}

export interface GgufHeader {
  version: number;
  /** Arrays of strings and arrays longer than {@link LONGEST_ARRAY} are left out. */
  metadata: ReadonlyMap<string, GgufValue>;
  tensors: readonly GgufTensor[];
  /** Where tensor data starts, in bytes. */
  dataOffset: number;
  fileBytes: number;
}

const MAGIC = 0x46554747;
const LONGEST_ARRAY = 1_024;
/** The specification's limit for keys and tensor names. */
const LONGEST_NAME = 65_535;
const MOST_ENTRIES = 65_536;
/** Vocabularies have some hundred thousand entries, their merges a few more. */
const MOST_TEXTS = 4_000_000;
const MOST_TENSORS = 1_000_000;
const MOST_DIMENSIONS = 4;
const LONGEST_TEXT = 16 * 1024 * 1024;
const CHUNK = 256 * 1024;

const FIXED_SIZE: Readonly<Record<number, number>> = {
  [GGUF_TYPE.uint8]: 1,
  [GGUF_TYPE.int8]: 1,
  [GGUF_TYPE.uint16]: 2,
  [GGUF_TYPE.int16]: 2,
  [GGUF_TYPE.uint32]: 4,
  [GGUF_TYPE.int32]: 4,
  [GGUF_TYPE.float32]: 4,
  [GGUF_TYPE.bool]: 1,
  [GGUF_TYPE.uint64]: 8,
  [GGUF_TYPE.int64]: 8,
  [GGUF_TYPE.float64]: 8,
};

/**
 * Reads the header of a GGUF file (versions 2 and 3, little-endian). Memory and work are bounded by the bytes
 * that the file really has, whatever counts it claims.
 * Throws KimiError `invalid_argument` when the file is not GGUF, is cut, or is malformed.
 */
export async function readGguf(path: string): Promise<GgufHeader> {
  const file = await open(path, 'r');
  try {
    const { size } = await file.stat();
    return await readHeader(new Cursor(file, size, path));
  } finally {
    await file.close();
  }
}

async function readHeader(cursor: Cursor): Promise<GgufHeader> {
  if ((await cursor.uint32()) !== MAGIC) throw cursor.malformed('it does not begin as GGUF files do');
  const version = await cursor.uint32();
  if (version !== 2 && version !== 3) throw cursor.malformed(`version ${version} is not known`);
  const tensorCount = await cursor.count(MOST_TENSORS, 'tensors');
  const entryCount = await cursor.count(MOST_ENTRIES, 'metadata entries');

  const metadata = new Map<string, GgufValue>();
  for (let index = 0; index < entryCount; index++) {
    const key = await cursor.text(LONGEST_NAME);
    const value = await readValue(cursor, await cursor.uint32());
    if (value !== undefined) metadata.set(key, value);
  }

  const tensors: GgufTensor[] = [];
  for (let index = 0; index < tensorCount; index++) tensors.push(await readTensor(cursor));

  const alignment = positive(metadata.get('general.alignment')) ?? 32;
  const dataOffset = Math.ceil(cursor.position / alignment) * alignment;
  const lastOffset = tensors.reduce((last, tensor) => Math.max(last, tensor.offset), 0);
  if (tensors.length > 0 && dataOffset + lastOffset >= cursor.size) {
    throw cursor.malformed('it ends before its last tensor begins');
  }
  return { version, metadata, tensors, dataOffset, fileBytes: cursor.size };
}

async function readValue(cursor: Cursor, type: number): Promise<GgufValue | undefined> {
  if (type === GGUF_TYPE.string) return cursor.text(LONGEST_TEXT);
  if (type === GGUF_TYPE.array) return readArray(cursor);
  return cursor.fixed(type);
}

async function readArray(cursor: Cursor): Promise<number[] | undefined> {
  const type = await cursor.uint32();
  const length = await cursor.uint64();
  if (type === GGUF_TYPE.string) {
    if (length > MOST_TEXTS) throw cursor.malformed(`it claims a list of ${length} texts`);
    for (let index = 0; index < length; index++) await cursor.skip(await cursor.uint64());
    return undefined;
  }
  const size = FIXED_SIZE[type];
  if (size === undefined) throw cursor.malformed(`an array holds values of type ${type}`);
  if (length > LONGEST_ARRAY) {
    await cursor.skip(length * size);
    return undefined;
  }
  const values: number[] = [];
  for (let index = 0; index < length; index++) values.push(Number(await cursor.fixed(type)));
  return values;
}

async function readTensor(cursor: Cursor): Promise<GgufTensor> {
  const name = await cursor.text(LONGEST_NAME);
  const rank = await cursor.uint32();
  if (rank > MOST_DIMENSIONS) throw cursor.malformed(`a tensor has ${rank} dimensions`);
  const dimensions: number[] = [];
  for (let index = 0; index < rank; index++) dimensions.push(await cursor.uint64());
  return { name, dimensions, type: await cursor.uint32(), offset: await cursor.uint64() };
}

function positive(value: GgufValue | undefined): number | undefined {
  return typeof value === 'number' && value > 0 ? value : undefined;
}

/** Walks through a file front to back, a chunk at a time, and never past its end. */
class Cursor {
  position = 0;
  private chunk = Buffer.alloc(0);
  private chunkStart = 0;

  constructor(
    private readonly file: FileHandle,
    readonly size: number,
    private readonly path: string,
  ) {}

  malformed(what: string): KimiError {
    return new KimiError(`${this.path} is no usable GGUF file: ${what}. Delete it and fetch it again.`, {
      code: 'invalid_argument',
    });
  }

  async uint32(): Promise<number> {
    const at = await this.take(4);
    return this.chunk.readUInt32LE(at);
  }

  async uint64(): Promise<number> {
    const at = await this.take(8);
    return Number(this.chunk.readBigUInt64LE(at));
  }

  async count(most: number, what: string): Promise<number> {
    const count = await this.uint64();
    if (count > most) throw this.malformed(`it claims ${count} ${what}`);
    return count;
  }

  async text(longest: number): Promise<string> {
    const length = await this.uint64();
    if (length > longest) throw this.malformed(`it claims a text of ${length} bytes`);
    const at = await this.take(length);
    return this.chunk.toString('utf8', at, at + length);
  }

  async fixed(type: number): Promise<number | boolean> {
    const size = FIXED_SIZE[type];
    if (size === undefined) throw this.malformed(`it holds a value of type ${type}`);
    const at = await this.take(size);
    switch (type) {
      case GGUF_TYPE.int8:
        return this.chunk.readInt8(at);
      case GGUF_TYPE.uint16:
        return this.chunk.readUInt16LE(at);
      case GGUF_TYPE.int16:
        return this.chunk.readInt16LE(at);
      case GGUF_TYPE.uint32:
        return this.chunk.readUInt32LE(at);
      case GGUF_TYPE.int32:
        return this.chunk.readInt32LE(at);
      case GGUF_TYPE.float32:
        return this.chunk.readFloatLE(at);
      case GGUF_TYPE.bool:
        return this.chunk.readUInt8(at) !== 0;
      case GGUF_TYPE.uint64:
        return Number(this.chunk.readBigUInt64LE(at));
      case GGUF_TYPE.int64:
        return Number(this.chunk.readBigInt64LE(at));
      case GGUF_TYPE.float64:
        return this.chunk.readDoubleLE(at);
      default:
        return this.chunk.readUInt8(at);
    }
  }

  async skip(bytes: number): Promise<void> {
    this.check(bytes);
    this.position += bytes;
  }

  /** Makes the next `bytes` bytes readable and steps over them. Returns where in the chunk they begin. */
  private async take(bytes: number): Promise<number> {
    this.check(bytes);
    let at = this.position - this.chunkStart;
    if (at < 0 || at + bytes > this.chunk.length) {
      const wanted = Math.min(Math.max(bytes, CHUNK), this.size - this.position);
      const buffer = Buffer.alloc(wanted);
      const { bytesRead } = await this.file.read(buffer, 0, wanted, this.position);
      if (bytesRead < bytes) throw this.malformed('it ends too early');
      this.chunk = buffer.subarray(0, bytesRead);
      this.chunkStart = this.position;
      at = 0;
    }
    this.position += bytes;
    return at;
  }

  private check(bytes: number): void {
    if (!(this.position + bytes <= this.size)) throw this.malformed('it ends too early');
  }
}
