/** Builds a Python wheel with one large member, and a package index on loopback that serves it. */
import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { crc32, deflateRawSync } from 'node:zlib';
import { closeServer } from './hub.ts';

export interface Wheel {
  name: string;
  version: string;
  fileName: string;
  content: Buffer;
  sha256: string;
}

/** A wheel of package `name` (letters, digits, dashes) that carries `data` as `member`. */
export function buildWheel(name: string, version: string, member: string, data: Uint8Array): Wheel {
  const module = name.replaceAll('-', '_');
  const info = `${module}-${version}.dist-info`;
  const content = zip({
    [member]: data,
    [`${info}/METADATA`]: Buffer.from(`Metadata-Version: 2.1\nName: ${name}\nVersion: ${version}\n`),
    [`${info}/WHEEL`]: Buffer.from('Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n'),
    [`${info}/RECORD`]: Buffer.from(''),
  });
  const sha256 = createHash('sha256').update(content).digest('hex');
  return { name, version, fileName: `${module}-${version}-py3-none-any.whl`, content, sha256 };
}

/** A simple index as PEP 503 has it. Returns its address, for `PIP_INDEX_URL`. */
export async function startIndex(wheel: Wheel): Promise<{ url: string; close(): Promise<void> }> {
  const server = createServer((request, response) => {
    if (request.url === `/simple/${wheel.name}/`) {
      response.writeHead(200, { 'content-type': 'text/html' });
      response.end(`<!DOCTYPE html><a href="/files/${wheel.fileName}">${wheel.fileName}</a>`);
    } else if (request.url === `/files/${wheel.fileName}`) response.end(wheel.content);
    else response.writeHead(404).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/simple`,
    close: () => closeServer(server),
  };
}

/** A zip archive of deflated members. */
export function zip(members: Record<string, Uint8Array>): Buffer {
  const bodies: Buffer[] = [];
  const entries: Buffer[] = [];
  let offset = 0;
  for (const [name, data] of Object.entries(members)) {
    const packed = deflateRawSync(data, { level: 1 });
    const fields = Buffer.alloc(26);
    fields.writeUInt16LE(20, 0);
    fields.writeUInt16LE(8, 4);
    fields.writeUInt32LE(crc32(data), 10);
    fields.writeUInt32LE(packed.length, 14);
    fields.writeUInt32LE(data.length, 18);
    fields.writeUInt16LE(Buffer.byteLength(name), 22);
    const local = Buffer.concat([Buffer.from('PK\x03\x04'), fields, Buffer.from(name), packed]);
    const tail = Buffer.alloc(14);
    tail.writeUInt32LE(offset, 10);
    entries.push(
      Buffer.concat([Buffer.from('PK\x01\x02'), Buffer.from([20, 0]), fields, tail, Buffer.from(name)]),
    );
    bodies.push(local);
    offset += local.length;
  }
  const directory = Buffer.concat(entries);
  const end = Buffer.alloc(18);
  end.writeUInt16LE(entries.length, 4);
  end.writeUInt16LE(entries.length, 6);
  end.writeUInt32LE(directory.length, 8);
  end.writeUInt32LE(offset, 12);
  return Buffer.concat([...bodies, directory, Buffer.from('PK\x05\x06'), end]);
}
