/**
 * A stand-in Ollama on loopback that speaks the real protocol, runs in the test's own process, and misbehaves on
 * demand. What it answers is scripted by `replies` (one a request, in order) or `reply` (a function of the request).
 */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';

export interface StandInModel {
  name: string;
  /** Bytes of the weights. */
  size?: number;
  parameterSize?: string;
  parameters?: number;
  family?: string;
  capabilities?: string[];
  contextLength?: number;
  remoteHost?: string;
}

export interface ChatBody {
  model: string;
  messages: {
    role: string;
    content: string;
    images?: string[];
    tool_calls?: unknown[];
    tool_name?: string;
  }[];
  tools?: { function: { name: string } }[];
  format?: unknown;
  think?: unknown;
  keep_alive?: string;
  options?: Record<string, unknown>;
}

/** An answer to /api/chat. The pieces are sent in the order in which they are named here. */
export interface Reply {
  thinking?: readonly string[];
  text?: string | readonly string[];
  toolCalls?: readonly { name: string; arguments: object }[];
  doneReason?: string;
  usage?: { input: number; output: number };
  /** Awaited before each piece: gates instead of sleeping. */
  before?: (index: number) => Promise<void>;
  /**
   * - `status`: nothing but an HTTP error, `status` with `error`.
   * - `silence`: accepts the request, then nothing; after `text`, where there is some.
   * - `cut`: the connection breaks after the pieces.
   * - `unfinished`: the response ends properly, but without the last object.
   * - `garbage`: a line that is not JSON, after the pieces.
   * - `error-line`: an object with `error`, after the pieces.
   * - `endless`: the pieces over and over.
   * - `duplicates`: each piece twice.
   */
  trouble?: 'status' | 'silence' | 'cut' | 'unfinished' | 'garbage' | 'error-line' | 'endless' | 'duplicates';
  status?: number;
  error?: string;
  headers?: Record<string, string>;
}

export interface Recorded {
  method: string;
  path: string;
  body: unknown;
  /** Resolves when the connection is gone or the response complete; true when the client left before it was. */
  left: Promise<boolean>;
}

export interface StandIn {
  readonly url: string;
  models: StandInModel[];
  /** Taken one by one by requests to /api/chat; when none is left, `reply` answers. */
  readonly replies: Reply[];
  reply: (body: ChatBody) => Reply | Promise<Reply>;
  /** What /api/pull sends, as objects, in order. */
  pull: (name: string) => AsyncIterable<object> | Iterable<object>;
  /** While set, each request to these paths is answered with this status, or never at all. */
  readonly trouble: Map<string, { status: number; error: string } | 'silence'>;
  readonly requests: Recorded[];
  chats(): ChatBody[];
  /** Resolves with the n-th request (from 1) to this path, waiting for it if need be. */
  arrival(path: string, nth?: number): Promise<Recorded>;
  close(): Promise<void>;
}

export async function startOllama(models: StandInModel[] = [{ name: 'qwen3:8b' }]): Promise<StandIn> {
  let arrived: { promise: Promise<void>; resolve: () => void } = deferred();
  const standIn: StandIn = {
    url: '',
    models,
    replies: [],
    reply: (body) => ({ text: `You said: ${body.messages.at(-1)?.content ?? ''}` }),
    pull: pullOf,
    trouble: new Map(),
    requests: [],
    chats: () =>
      standIn.requests.filter(({ path }) => path === '/api/chat').map(({ body }) => body as ChatBody),
    async arrival(path, nth = 1) {
      for (;;) {
        const found = standIn.requests.filter((request) => request.path === path)[nth - 1];
        if (found) return found;
        await arrived.promise;
      }
    },
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };

  const server = createServer((request, response) => {
    handle(request, response).catch((error: unknown) => {
      if (!response.destroyed) sendJson(response, 500, { error: String(error) });
    });
  });

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = new URL(request.url ?? '/', 'http://stand-in').pathname;
    const body = await readJson(request);
    const left = new Promise<boolean>((resolve) => {
      response.on('close', () => resolve(!response.writableFinished));
    });
    standIn.requests.push({ method: request.method ?? '', path, body, left });
    const { resolve } = arrived;
    arrived = deferred();
    resolve();

    const trouble = standIn.trouble.get(path);
    if (trouble === 'silence') return;
    if (trouble) return sendJson(response, trouble.status, { error: trouble.error });
    const name = nameIn(body);
    switch (path) {
      case '/api/version':
        return sendJson(response, 200, { version: '0.12.0' });
      case '/api/tags':
        return sendJson(response, 200, { models: standIn.models.map(tagOf) });
      case '/api/show': {
        const model = find(standIn.models, name);
        return model ? sendJson(response, 200, showOf(model)) : notFound(response, name);
      }
      case '/api/chat': {
        if (!find(standIn.models, name)) return notFound(response, name);
        const chat = body as ChatBody;
        return sendReply(response, chat, standIn.replies.shift() ?? (await standIn.reply(chat)));
      }
      case '/api/pull': {
        startLines(response);
        for await (const step of standIn.pull(name)) {
          if (response.destroyed) return;
          await send(response, step);
          if ('status' in step && step.status === 'success' && !find(standIn.models, name)) {
            standIn.models.push({ name });
          }
        }
        response.end();
        return;
      }
      case '/api/embed':
        return sendJson(response, 200, { model: name, embeddings: inputsIn(body).map(vectorOf) });
      default:
        return sendJson(response, 404, { error: 'not found' });
    }
  }

  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return Object.assign(standIn, { url: `http://127.0.0.1:${port}` });
}

async function sendReply(response: ServerResponse, body: ChatBody, reply: Reply): Promise<void> {
  if (reply.trouble === 'status') {
    return sendJson(response, reply.status ?? 500, { error: reply.error ?? 'made to fail' }, reply.headers);
  }
  const pieces = piecesOf(reply);
  startLines(response);
  if (reply.trouble === 'silence' && pieces.length === 0) return response.flushHeaders();

  let index = 0;
  do {
    for (const message of pieces) {
      await reply.before?.(index++);
      if (response.destroyed) return;
      const line = { ...headOf(body), message: { role: 'assistant', content: '', ...message }, done: false };
      await send(response, line);
      if (reply.trouble === 'duplicates') await send(response, line);
    }
    // Lets the rest of the process run: the client is in the same one.
    if (reply.trouble === 'endless') await nextTurn();
  } while (reply.trouble === 'endless' && !response.destroyed);

  switch (reply.trouble) {
    case 'silence':
      return;
    case 'cut':
      // What was written reaches the client before the end does.
      await nextTurn();
      response.destroy();
      return;
    case 'garbage':
      response.end('{"model": <html>502 Bad Gateway</html>\n');
      return;
    case 'error-line':
      await send(response, { error: reply.error ?? 'an error was encountered while running the model' });
      response.end();
      return;
    case 'unfinished':
      response.end();
      return;
    default:
      await send(response, {
        ...headOf(body),
        message: { role: 'assistant', content: '' },
        done: true,
        done_reason: reply.doneReason ?? 'stop',
        total_duration: 1_000_000,
        prompt_eval_count: reply.usage?.input ?? 10,
        eval_count: reply.usage?.output ?? pieces.length,
      });
      response.end();
  }
}

function piecesOf({ thinking = [], text = [], toolCalls = [] }: Reply): object[] {
  return [
    ...thinking.map((delta) => ({ thinking: delta })),
    ...(typeof text === 'string' ? [text] : text).map((content) => ({ content })),
    ...toolCalls.map((call) => ({ tool_calls: [{ function: call }] })),
  ];
}

function headOf({ model }: ChatBody): object {
  return { model, created_at: '2025-01-01T00:00:00.000000Z' };
}

function tagOf(model: StandInModel): object {
  return {
    name: model.name,
    model: model.name,
    modified_at: '2025-01-01T00:00:00.000000Z',
    size: model.size ?? 1_000_000_000,
    digest: createHash('sha256').update(JSON.stringify(model)).digest('hex'),
    details: detailsOf(model),
    ...(model.remoteHost ? { remote_host: model.remoteHost, remote_model: model.name } : {}),
  };
}

function detailsOf({ family = 'llama', parameterSize = '8.0B' }: StandInModel): object {
  return {
    parent_model: '',
    format: 'gguf',
    family,
    families: [family],
    parameter_size: parameterSize,
    quantization_level: 'Q4_K_M',
  };
}

function showOf(model: StandInModel): object {
  return {
    modelfile: '',
    parameters: '',
    template: '',
    details: detailsOf(model),
    model_info: {
      'general.architecture': 'llama',
      ...(model.parameters ? { 'general.parameter_count': model.parameters } : {}),
      'llama.context_length': model.contextLength ?? 131_072,
      'llama.block_count': 32,
      'llama.attention.head_count': 32,
      'llama.attention.head_count_kv': 8,
      'llama.embedding_length': 4_096,
    },
    capabilities: model.capabilities ?? ['completion', 'tools'],
  };
}

function* pullOf(name: string): Generator<object> {
  const digest = `sha256:${createHash('sha256').update(name).digest('hex')}`;
  yield { status: 'pulling manifest' };
  for (const completed of [0, 500, 1_000]) {
    yield { status: `pulling ${digest.slice(7, 19)}`, digest, total: 1_000, completed };
  }
  yield { status: 'verifying sha256 digest' };
  yield { status: 'writing manifest' };
  yield { status: 'success' };
}

/** A vector of length 8 that depends on the text alone. */
function vectorOf(text: string): number[] {
  const bytes = createHash('sha256').update(text).digest();
  return Array.from({ length: 8 }, (_, index) => (bytes[index] ?? 0) / 255);
}

function inputsIn(body: unknown): string[] {
  const { input = [] } = body as { input?: string | string[] };
  return typeof input === 'string' ? [input] : input;
}

function nameIn(body: unknown): string {
  const { model, name } = (body ?? {}) as { model?: string; name?: string };
  return model ?? name ?? '';
}

function find(models: readonly StandInModel[], name: string): StandInModel | undefined {
  return models.find((model) => model.name === name || model.name === `${name}:latest`);
}

function notFound(response: ServerResponse, name: string): void {
  sendJson(response, 404, { error: `model '${name}' not found` });
}

async function readJson(request: IncomingMessage): Promise<unknown> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of request as AsyncIterable<Uint8Array>) chunks.push(chunk);
  const text = Buffer.concat(chunks).toString();
  return text === '' ? undefined : JSON.parse(text);
}

function sendJson(
  response: ServerResponse,
  status: number,
  body: object,
  headers: Record<string, string> = {},
): void {
  response.writeHead(status, { 'content-type': 'application/json; charset=utf-8', ...headers });
  response.end(JSON.stringify(body));
}

function startLines(response: ServerResponse): void {
  response.writeHead(200, { 'content-type': 'application/x-ndjson' });
}

/** Writes one line; waits for the client to take it, so that an endless answer does not fill the memory. */
async function send(response: ServerResponse, line: object): Promise<void> {
  if (response.write(`${JSON.stringify(line)}\n`) || response.destroyed) return;
  await Promise.race([once(response, 'drain'), once(response, 'close')]);
}

function deferred(): { promise: Promise<void>; resolve: () => void } {
  let resolve = () => {};
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}
