/** Reads a stream under deadlines, and lets go of it whatever happens. */
import type { ReadableStream } from 'node:stream/web';
import { KimiError } from '../errors.ts';

export interface Deadlines<Part> {
  /** How long until the first sign of life, in milliseconds. */
  firstMs: number;
  /** How long between two signs of life. */
  silenceMs: number;
  /** Which parts are a sign of life. */
  isLife(part: Part): boolean;
  signal: AbortSignal;
  /** The error for a deadline of `ms` milliseconds that has passed; `first` when no life was seen at all. */
  late(ms: number, first: boolean): KimiError;
}

/**
 * Opens a stream and yields its parts. Throws what `late` makes when a deadline passes, and KimiError `stopped` as
 * soon as the signal is aborted, also when the stream itself heeds neither. When the iteration ends, for whatever
 * reason, the stream is cancelled, without waiting for it; so is one that opens only after that.
 */
export async function* readWithin<Part>(
  open: () => Promise<ReadableStream<Part>>,
  { firstMs, silenceMs, isLife, signal, late }: Deadlines<Part>,
): AsyncGenerator<Part> {
  let interrupt: (error: KimiError) => void = () => {};
  const interrupted = new Promise<never>((_, reject) => {
    interrupt = reject;
  });
  interrupted.catch(() => {});
  const abort = () => interrupt(new KimiError('Stopped.', { code: 'stopped' }));
  if (signal.aborted) abort();
  signal.addEventListener('abort', abort);
  let timer = setTimeout(() => interrupt(late(firstMs, true)), firstMs);

  const reading = open().then((stream) => stream.getReader());
  try {
    const reader = await Promise.race([reading, interrupted]);
    for (;;) {
      const { done, value } = await Promise.race([reader.read(), interrupted]);
      if (done) return;
      const alive = isLife(value);
      // The clock stands while the consumer works: its pace is not the model's.
      if (alive) clearTimeout(timer);
      yield value;
      if (alive) timer = setTimeout(() => interrupt(late(silenceMs, false)), silenceMs);
    }
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', abort);
    reading.then((reader) => reader.cancel()).catch(() => {});
  }
}
