/** Writes GGUF files (version 3, little-endian): header from a list of entries, then each tensor's bytes in turn. */
import { type FileHandle, open } from 'node:fs/promises';
import { GGUF_TYPE } from './gguf.ts';

/** A metadata value with the type it is to have in the file. */
export type GgufEntry =
  | { type: 'uint32' | 'int32' | 'float32' | 'uint64'; value: number }
  | { type: 'bool'; value: boolean }
  | { type: 'string'; value: string }
  | { type: 'array'; of: 'int32' | 'uint32' | 'float32'; value: readonly number[] }
  | { type: 'array'; of: 'string'; value: readonly string[] };

export interface GgufTensorSource {
  name: string;
  /** Fastest-moving dimension first. */
  dimensions: readonly number[];
  type: keyof typeof TENSOR_TYPE;
  /** The tensor's bytes, as that type lays them out. Called once, when its turn comes. */
  data(): Promise<Uint8Array> | Uint8Array;
}

/** ggml's number of each type that can be written, and how many bytes a block of how many values takes. */
const TENSOR_TYPE = {
  F32: { id: 0, values: 1, bytes: 4 },
  F16: { id: 1, values: 1, bytes: 2 },
  Q8_0: { id: 8, values: 32, bytes: 34 },
} as const;

const ALIGNMENT = 32;

/**
 * Writes a GGUF file. Holds one tensor in memory at a time.
 * Throws a RangeError when a tensor's data has another size than its type and dimensions say.
 */
export async function writeGguf(
  path: string,
  metadata: Readonly<Record<string, GgufEntry>>,
  tensors: readonly GgufTensorSource[],
): Promise<void> {
  const file = await open(path, 'w');
  try {
    await writeAll(file, header(metadata, tensors));
    for (const tensor of tensors) {
      const data = await tensor.data();
      if (data.byteLength !== tensorBytes(tensor)) {
        throw new RangeError(`${tensor.name} has ${data.byteLength} bytes, not ${tensorBytes(tensor)}`);
      }
      await writeAll(file, data);
      await writeAll(file, new Uint8Array(padding(data.byteLength)));
    }
  } finally {
    await file.close();
  }
}

function header(metadata: Readonly<Record<string, GgufEntry>>, tensors: readonly GgufTensorSource[]): Buffer {
  const parts: Buffer[] = [Buffer.from('GGUF'), uint32(3), uint64(tensors.length)];
  const entries = Object.entries(metadata);
  parts.push(uint64(entries.length));
  for (const [key, entry] of entries) parts.push(text(key), uint32(GGUF_TYPE[entry.type]), payload(entry));
  let offset = 0;
  for (const tensor of tensors) {
    parts.push(text(tensor.name), uint32(tensor.dimensions.length), ...tensor.dimensions.map(uint64));
    parts.push(uint32(TENSOR_TYPE[tensor.type].id), uint64(offset));
    offset += tensorBytes(tensor) + padding(tensorBytes(tensor));
  }
  const written = Buffer.concat(parts);
  return Buffer.concat([written, Buffer.alloc(padding(written.length))]);
}

function tensorBytes(tensor: GgufTensorSource): number {
  const { values, bytes } = TENSOR_TYPE[tensor.type];
  return (tensor.dimensions.reduce((product, size) => product * size, 1) / values) * bytes;
}

function padding(bytes: number): number {
  return (ALIGNMENT - (bytes % ALIGNMENT)) % ALIGNMENT;
}

async function writeAll(file: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let written = 0; written < bytes.byteLength; ) {
    written += (await file.write(bytes, written)).bytesWritten;
  }
}

function payload(entry: GgufEntry): Buffer {
  switch (entry.type) {
    case 'bool':
      return Buffer.from([entry.value ? 1 : 0]);
    case 'string':
      return text(entry.value);
    case 'array': {
      const items = entry.of === 'string' ? entry.value.map(text) : numbers(entry.of, entry.value);
      return Buffer.concat([uint32(GGUF_TYPE[entry.of]), uint64(entry.value.length), ...items]);
    }
    default:
      return number(entry.type, entry.value);
  }
}

function numbers(type: 'int32' | 'uint32' | 'float32', values: readonly number[]): Buffer[] {
  return values.map((value) => number(type, value));
}

function number(type: 'int32' | 'uint32' | 'float32' | 'uint64', value: number): Buffer {
  if (type === 'uint32') return uint32(value);
  if (type === 'uint64') return uint64(value);
  const buffer = Buffer.alloc(4);
  if (type === 'int32') buffer.writeInt32LE(value);
  else buffer.writeFloatLE(value);
  return buffer;
}

function uint32(value: number): Buffer {
  const buffer = Buffer.alloc(4);
  buffer.writeUInt32LE(value);
  return buffer;
}

function uint64(value: number): Buffer {
  const buffer = Buffer.alloc(8);
  buffer.writeBigUInt64LE(BigInt(value));
  return buffer;
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value, 'utf8');
  return Buffer.concat([uint64(bytes.length), bytes]);
}
