/**
 * The model process: the only place where native model code runs, so that its crashes, bad files and want of memory
 * end this process and not the daemon. Requests come over IPC: request → slot → runtime → replies.
 */
import { writeFileSync } from 'node:fs';
import { setPriority } from 'node:os';
import type { Llama } from 'node-llama-cpp';
import { KimiError } from '../../errors.ts';
import { computeThreads } from '../cores.ts';
import { Embedder } from './embedder.ts';
import type { Delta, Failure, FromHost, HostOptions, Request, Result, ToHost } from './protocol.ts';
import { ChatRuntime } from './runtime.ts';
import { Slot } from './slot.ts';

/** Below whatever the person is doing at the machine. */
const NICENESS = 10;
/** When memory runs out, Linux ends the process with the highest score: this one, not the daemon. */
const OOM_SCORE = '800';

beModest();
// A terminal's Ctrl-C and a service manager's stop reach the whole group, but running answers may be finished:
// the daemon decides when this process ends. When the daemon is gone, it ends at once.
process.on('SIGINT', () => undefined);
process.on('SIGTERM', () => undefined);
process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'));

const options: HostOptions = JSON.parse(process.argv[2] ?? '{}');
const threads = computeThreads(options.threads);
const llama = await loadLlama(options.gpu);
const chatSlot = new Slot<ChatRuntime>((runtime) => runtime.dispose());
const embedSlot = new Slot<Embedder>((embedder) => embedder.dispose());
const running = new Map<number, AbortController>();

process.on('message', (message: ToHost) => {
  if ('abort' in message) running.get(message.id)?.abort(new Error('aborted'));
  else void answer(message.id, message.request);
});
send({ type: 'ready', gpu: llama.gpu, threads });

async function answer(id: number, request: Request): Promise<void> {
  const abort = new AbortController();
  running.set(id, abort);
  try {
    reply(id, await run(request, abort.signal, (delta) => reply(id, delta)));
  } catch (error) {
    reply(id, failure(error, abort.signal));
  } finally {
    running.delete(id);
  }
}

function run(request: Request, signal: AbortSignal, emit: (delta: Delta) => void): Promise<Result> {
  if (request.type === 'embed') {
    return embedSlot.use(
      request.path,
      () => Embedder.load(llama, request.path, threads),
      (embedder) => embedder.embed(request.texts, signal),
    );
  }
  const { model } = request;
  const load = () => ChatRuntime.load(llama, model, threads);
  return chatSlot.use(JSON.stringify(model), load, async (runtime) => {
    if (request.type === 'count') return { type: 'counted', tokens: runtime.count(request.text) };
    return runtime.generate(request.messages, request.options, signal, emit);
  });
}

function failure(error: unknown, signal: AbortSignal): Failure {
  if (signal.aborted) return { type: 'failed', code: 'stopped', message: 'Stopped.', retryable: false };
  if (error instanceof KimiError) {
    return { type: 'failed', code: error.code, message: error.message, retryable: error.retryable };
  }
  const what = error instanceof Error ? error.message : String(error);
  return {
    type: 'failed',
    code: 'model_failed',
    message: `The embedded model failed: ${what}. \`kimi doctor\` checks the model files.`,
    retryable: false,
  };
}

function reply(id: number, message: Delta | Result | Failure): void {
  send({ type: 'reply', id, reply: message });
}

function send(message: FromHost): void {
  // After the daemon is gone there is nobody to tell; `disconnect` ends the process.
  if (process.connected) process.send?.(message, undefined, {}, () => undefined);
}

/** Where the graphics card does not work, the processor does. */
async function loadLlama(gpu: boolean): Promise<Llama> {
  const { getLlama, LlamaLogLevel } = await import('node-llama-cpp');
  const start = (use: 'auto' | false) =>
    getLlama({
      build: 'never',
      gpu: use,
      // All contexts together: two models at work share them.
      maxThreads: threads,
      progressLogs: false,
      logLevel: LlamaLogLevel.warn,
      logger: (level, message) => process.stderr.write(`${level}: ${message}\n`),
    });
  if (!gpu) return start(false);
  return start('auto').catch((error: unknown) => {
    process.stderr.write(`no graphics card is used: ${String(error)}\n`);
    return start(false);
  });
}

function beModest(): void {
  setPriority(NICENESS);
  if (process.platform !== 'linux') return;
  try {
    writeFileSync('/proc/self/oom_score_adj', OOM_SCORE);
  } catch {
    // Some containers forbid it; nothing else depends on it.
  }
}
