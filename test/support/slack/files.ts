/** Files: uploaded in three steps, downloaded with the token. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { ApiError, checkFields, json, object, type Params } from './api.ts';

export interface StoredFile {
  id: string;
  name: string;
  mimetype: string;
  bytes: Buffer;
  /** Where it is said to be, instead of here. */
  address?: string;
  /** Where its address leads to, instead of to its bytes. */
  redirect?: string;
}

export class Files {
  readonly stored = new Map<string, StoredFile>();
  /** The headers that came with bytes, or for them. */
  readonly seen: { url: string; authorization: string | undefined }[] = [];
  private readonly announced = new Map<string, { name: string; length: number; bytes: Buffer | undefined }>();
  private count = 0;

  constructor(
    private readonly origin: () => string,
    private readonly token: string,
  ) {}

  add(file: Omit<StoredFile, 'id'>): StoredFile {
    const stored = { id: `F${++this.count}${'0'.repeat(4)}`, ...file };
    this.stored.set(stored.id, stored);
    return stored;
  }

  /** As a message or files.info shows it. */
  shape({ id, name, mimetype, bytes, address }: StoredFile): Record<string, unknown> {
    const url = address ?? `${this.origin()}/files/${id}/${encodeURIComponent(name)}`;
    return {
      id,
      name,
      mimetype,
      size: bytes.length,
      mode: 'hosted',
      url_private: url,
      url_private_download: url,
    };
  }

  announce(params: Params): unknown {
    checkFields(params, ['alt_text', 'snippet_type'], ['filename', 'length']);
    const id = `F${++this.count}U000`;
    this.announced.set(id, { name: params.filename ?? '', length: Number(params.length), bytes: undefined });
    return { upload_url: `${this.origin()}/upload/${id}`, file_id: id };
  }

  /** The files of a message, once their bytes are here. */
  complete(params: Params): string[] {
    checkFields(params, ['channel_id', 'thread_ts', 'initial_comment', 'blocks'], ['files']);
    const files = json(params.files, 'invalid_arguments');
    if (!Array.isArray(files) || files.length === 0) throw new ApiError('invalid_arguments');
    return files.map((one) => {
      const id = String(object(one).id);
      const found = this.announced.get(id);
      if (!found?.bytes) throw new ApiError('file_not_found');
      if (found.bytes.length !== found.length) throw new ApiError('file_upload_size_restricted');
      this.stored.set(id, { id, name: found.name, mimetype: 'application/octet-stream', bytes: found.bytes });
      return id;
    });
  }

  info(params: Params): unknown {
    const file = this.stored.get(params.file ?? '');
    if (!file) throw new ApiError('file_not_found');
    return { file: this.shape(file) };
  }

  delete(params: Params): void {
    if (!this.stored.delete(params.file ?? '')) throw new ApiError('file_not_found');
  }

  /** Whether the request was for one of them. */
  async serve(request: IncomingMessage, response: ServerResponse): Promise<boolean> {
    const [, kind, id = ''] = /^\/(upload|files)\/(\w+)/.exec(request.url ?? '') ?? [];
    if (!kind) return false;
    this.seen.push({ url: request.url ?? '', authorization: request.headers.authorization });
    if (kind === 'upload') {
      const file = this.announced.get(id);
      if (file) file.bytes = await buffer(request);
      response.writeHead(file ? 200 : 404).end('OK');
      return true;
    }
    const file = this.stored.get(id);
    if (!file) response.writeHead(404).end();
    else if (file.redirect) response.writeHead(302, { location: file.redirect }).end();
    else if (request.headers.authorization !== `Bearer ${this.token}`) {
      response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' }).end('<html>Sign in</html>');
    } else response.writeHead(200, { 'content-type': file.mimetype }).end(file.bytes);
    return true;
  }
}
