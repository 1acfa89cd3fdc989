/** The daemon's end of the model process: starts it when needed, ends it when idle, survives whatever becomes of it. */
import { type ChildProcess, fork } from 'node:child_process';
import { Socket } from 'node:net';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { KimiError } from '../../errors.ts';
import type { Log } from '../../log.ts';
import type { Delta, FromHost, HostOptions, Request, Result, ToHost } from './protocol.ts';

export interface EngineSettings {
  threads?: number | undefined;
  gpu: boolean;
  keepAliveSeconds: number;
}

export interface EngineClientOptions {
  /** Read whenever the process is started or falls idle, so that changed settings apply. */
  settings: () => EngineSettings;
  log: Log;
  /** How long the process may take to start, before any model is loaded. */
  startSeconds?: number;
  /** How long it may take to obey an abort before it is ended: a step of a large model takes many seconds. */
  abortSeconds?: number;
}

export interface EngineClient {
  /**
   * Sends a request and resolves with its result; `onDelta` gets what is written meanwhile.
   * Rejects with KimiError: `stopped` when aborted, `model_failed` (retryable) when the process dies, or what the
   * process says.
   */
  call(request: Request, signal?: AbortSignal, onDelta?: (delta: Delta) => void): Promise<Result>;
  /** The process, while there is one. */
  readonly pid: number | undefined;
  /** Ends the process; running requests fail. Later calls fail too. */
  close(): Promise<void>;
}

interface Pending {
  resolve(result: Result): void;
  reject(error: KimiError): void;
  onDelta: ((delta: Delta) => void) | undefined;
}

interface Host {
  child: ChildProcess;
  ready: Promise<void>;
  exited: Promise<void>;
  gpu: string | false;
  pending: Map<number, Pending>;
  idleTimer: NodeJS.Timeout | undefined;
}

const SOURCE = import.meta.url.endsWith('.ts');
const ENTRY = new URL(SOURCE ? './host.ts' : './host.js', import.meta.url);
const LONGEST_LOG_LINE = 500;

export function createEngineClient(options: EngineClientOptions): EngineClient {
  const { settings, log, startSeconds = 60, abortSeconds = 60 } = options;
  let host: Host | undefined;
  let closed = false;
  let nextId = 1;
  let gpuCrashed = false;

  function running(): Host {
    if (closed) throw stopped();
    host ??= start();
    return host;
  }

  function start(): Host {
    const { threads, gpu } = settings();
    const hostOptions: HostOptions = {
      gpu: gpu && !gpuCrashed,
      ...(threads !== undefined && { threads }),
    };
    const child = fork(fileURLToPath(ENTRY), [JSON.stringify(hostOptions)], {
      execArgv: SOURCE ? ['--import', import.meta.resolve('tsx')] : [],
      env: withoutSecrets(process.env),
      serialization: 'advanced',
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    logLines(child.stdout, log);
    logLines(child.stderr, log);

    const started: Host = {
      child,
      ready: Promise.resolve(),
      exited: new Promise((resolve) => {
        child.once('exit', resolve);
        child.once('error', resolve);
      }).then(() => undefined),
      gpu: false,
      pending: new Map(),
      idleTimer: undefined,
    };
    started.ready = new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        child.kill('SIGKILL');
        reject(died(`did not start within ${startSeconds} s`));
      }, startSeconds * 1_000);
      started.exited.then(() => {
        clearTimeout(timer);
        reject(died('ended while it started'));
      });
      child.on('message', (message: FromHost) => {
        if (message.type === 'reply') {
          receive(started, message);
          return;
        }
        clearTimeout(timer);
        started.gpu = message.gpu;
        log.info({ pid: child.pid, gpu: message.gpu, threads: message.threads }, 'model process started');
        resolve();
      });
    });
    started.ready.catch(() => undefined);
    child.once('exit', (code, signal) => lost(started, signal ?? `exit code ${code}`));
    child.once('error', (error) => lost(started, error.message));
    return started;
  }

  function receive(from: Host, { id, reply }: Extract<FromHost, { type: 'reply' }>): void {
    const pending = from.pending.get(id);
    if (!pending) return;
    switch (reply.type) {
      case 'text':
      case 'reasoning':
        pending.onDelta?.(reply);
        return;
      case 'failed':
        pending.reject(new KimiError(reply.message, { code: reply.code, retryable: reply.retryable }));
        return;
      default:
        pending.resolve(reply);
    }
  }

  function lost(from: Host, how: string): void {
    if (host === from) host = undefined;
    clearTimeout(from.idleTimer);
    if (from.pending.size === 0) return;
    log.warn({ pid: from.child.pid, how, requests: from.pending.size }, 'model process died');
    if (from.gpu !== false) {
      gpuCrashed = true;
      log.warn('the graphics card is left out from now on, since the model process died with it');
    }
    for (const pending of from.pending.values()) pending.reject(closed ? stopped() : died(`died (${how})`));
  }

  /** A process that nobody waits for neither keeps the daemon alive nor stays for long. */
  function rest(from: Host): void {
    if (host !== from) return;
    for (const handle of handles(from.child)) handle.unref();
    from.idleTimer = setTimeout(() => void end(from), settings().keepAliveSeconds * 1_000).unref();
  }

  function wake(from: Host): void {
    clearTimeout(from.idleTimer);
    for (const handle of handles(from.child)) handle.ref();
  }

  /** It holds nothing that would have to be saved. */
  async function end(from: Host): Promise<void> {
    if (host === from) host = undefined;
    from.child.kill('SIGKILL');
    await from.exited;
  }

  async function ask(
    to: Host,
    request: Request,
    signal: AbortSignal | undefined,
    onDelta: Pending['onDelta'],
  ): Promise<Result> {
    const id = nextId++;
    let overdue: NodeJS.Timeout | undefined;
    const answered = new Promise<Result>((resolve, reject) => {
      to.pending.set(id, { resolve, reject, onDelta });
    });
    wake(to);
    const onAbort = () => {
      // What is on its way now has no reader any more.
      const pending = to.pending.get(id);
      if (pending) pending.onDelta = undefined;
      say(to, { id, abort: true });
      overdue = setTimeout(() => void end(to), abortSeconds * 1_000).unref();
    };
    try {
      await Promise.race([to.ready, answered]);
      if (signal?.aborted) throw stopped();
      signal?.addEventListener('abort', onAbort, { once: true });
      say(to, { id, request });
      return await answered;
    } finally {
      clearTimeout(overdue);
      signal?.removeEventListener('abort', onAbort);
      to.pending.delete(id);
      if (to.pending.size === 0) rest(to);
    }
  }

  return {
    async call(request, signal, onDelta) {
      if (signal?.aborted) throw stopped();
      const answer = ask(running(), request, signal, onDelta);
      if (!signal) return answer;
      return untilAborted(answer, signal);
    },
    get pid() {
      return host?.child.pid;
    },
    async close() {
      closed = true;
      if (host) await end(host);
    },
  };
}

/** Whoever aborts does not wait for the process to obey; what it still says then goes nowhere. */
function untilAborted<T>(answer: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(stopped());
    signal.addEventListener('abort', onAbort, { once: true });
    answer.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}

/** All that keeps the daemon's event loop alive on behalf of the process. */
function handles(child: ChildProcess): { ref(): unknown; unref(): unknown }[] {
  const pipes = [child.stdout, child.stderr].filter((pipe) => pipe instanceof Socket);
  return [child, ...pipes, ...(child.channel ? [child.channel] : [])];
}

function say(to: Host, message: ToHost): void {
  // When the process has just died, its `exit` event ends the request; this error adds nothing.
  to.child.send(message, () => undefined);
}

function logLines(stream: Readable | null, log: Log): void {
  if (!stream) return;
  createInterface({ input: stream }).on('line', (line) => {
    log.debug({ line: line.slice(0, LONGEST_LOG_LINE) }, 'model process');
  });
}

/** Native code that reads files from strangers has no business with the daemon's tokens. */
function withoutSecrets(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const entries = Object.entries(environment);
  return Object.fromEntries(entries.filter(([name]) => !/TOKEN|SECRET|PASSWORD|API_?KEY/i.test(name)));
}

function stopped(): KimiError {
  return new KimiError('Stopped.', { code: 'stopped' });
}

function died(how: string): KimiError {
  return new KimiError(
    `The model process ${how}. Ask again; if it happens again, free some memory or choose a smaller model with \`kimi models use\`.`,
    { code: 'model_failed', retryable: true },
  );
}
