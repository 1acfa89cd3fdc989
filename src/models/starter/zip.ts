/** Takes one member out of a zip archive, as a stream: end record → directory → member → inflate. */
import { createWriteStream } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createInflateRaw } from 'node:zlib';
import { KimiError } from '../../errors.ts';

interface Member {
  /** 0 stored, 8 deflated. */
  method: number;
  compressedBytes: number;
  bytes: number;
  headerOffset: number;
}

const END_SIGNATURE = 0x06054b50;
const END_BYTES = 22;
const LONGEST_COMMENT = 65_535;
const ENTRY_SIGNATURE = 0x02014b50;
const ENTRY_BYTES = 46;
const LOCAL_SIGNATURE = 0x04034b50;
const LOCAL_BYTES = 30;
const LARGEST_DIRECTORY = 64 * 1024 * 1024;
/** In the place of a size or an offset: the real one is in a zip64 record. */
const ZIP64 = 0xffffffff;

/**
 * Writes the member `name` of a zip archive to `target`, never more than `maxBytes` of it. Archives beyond 4 GB
 * (zip64) are not read. Throws KimiError `download_failed` when the archive is broken or has no such member.
 */
export async function extractMember(
  archive: string,
  name: string,
  target: string,
  limits: { maxBytes: number; signal: AbortSignal },
): Promise<void> {
  const file = await open(archive, 'r');
  try {
    const member = await findMember(file, name);
    const start = await dataOffset(file, member);
    const source = file.createReadStream({
      start,
      end: start + Math.max(member.compressedBytes, 1) - 1,
      autoClose: false,
    });
    const stages = member.method === 8 ? [createInflateRaw()] : [];
    await pipeline([source, ...stages, atMost(limits.maxBytes), createWriteStream(target)], {
      signal: limits.signal,
    });
  } catch (error) {
    if (error instanceof KimiError || limits.signal.aborted) throw error;
    throw broken(error instanceof Error ? error.message : String(error));
  } finally {
    await file.close();
  }
}

async function findMember(file: FileHandle, name: string): Promise<Member> {
  const { size } = await file.stat();
  const tail = await read(file, Math.max(0, size - END_BYTES - LONGEST_COMMENT), size);
  let at = tail.length - END_BYTES;
  while (at >= 0 && tail.readUInt32LE(at) !== END_SIGNATURE) at--;
  if (at < 0) throw broken('it has no directory');
  const directoryBytes = tail.readUInt32LE(at + 12);
  const directoryOffset = tail.readUInt32LE(at + 16);
  if (directoryOffset === ZIP64) throw broken('it is larger than 4 GB');
  if (directoryBytes > LARGEST_DIRECTORY) throw broken('its directory is too large');

  const directory = await read(file, directoryOffset, directoryOffset + directoryBytes);
  for (let entry = 0; entry + ENTRY_BYTES <= directory.length; ) {
    if (directory.readUInt32LE(entry) !== ENTRY_SIGNATURE) throw broken('its directory is garbled');
    const nameBytes = directory.readUInt16LE(entry + 28);
    const found = directory.toString('utf8', entry + ENTRY_BYTES, entry + ENTRY_BYTES + nameBytes);
    if (found === name) return memberAt(directory, entry);
    entry +=
      ENTRY_BYTES + nameBytes + directory.readUInt16LE(entry + 30) + directory.readUInt16LE(entry + 32);
  }
  throw broken(`it has no ${name}`);
}

function memberAt(directory: Buffer, entry: number): Member {
  const member = {
    method: directory.readUInt16LE(entry + 10),
    compressedBytes: directory.readUInt32LE(entry + 20),
    bytes: directory.readUInt32LE(entry + 24),
    headerOffset: directory.readUInt32LE(entry + 42),
  };
  if (member.method !== 0 && member.method !== 8) throw broken(`it is packed by method ${member.method}`);
  if (member.compressedBytes === ZIP64 || member.headerOffset === ZIP64)
    throw broken('it is larger than 4 GB');
  return member;
}

/** The name and extra field before the data may differ in length from those in the directory. */
async function dataOffset(file: FileHandle, member: Member): Promise<number> {
  const header = await read(file, member.headerOffset, member.headerOffset + LOCAL_BYTES);
  if (header.readUInt32LE(0) !== LOCAL_SIGNATURE) throw broken('its directory points nowhere');
  return member.headerOffset + LOCAL_BYTES + header.readUInt16LE(26) + header.readUInt16LE(28);
}

async function read(file: FileHandle, start: number, end: number): Promise<Buffer> {
  const buffer = Buffer.alloc(end - start);
  const { bytesRead } = await file.read(buffer, 0, buffer.length, start);
  if (bytesRead < buffer.length) throw broken('it is cut');
  return buffer;
}

function atMost(maxBytes: number): Transform {
  let total = 0;
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      total += chunk.length;
      if (total > maxBytes) done(broken(`it unpacks to more than ${maxBytes} bytes`));
      else done(null, chunk);
    },
  });
}

function broken(what: string): KimiError {
  return new KimiError(`The downloaded package cannot be unpacked: ${what}. Try again.`, {
    code: 'download_failed',
  });
}
