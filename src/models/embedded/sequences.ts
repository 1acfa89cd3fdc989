/** Shares out the sequences of a context: each request gets the one that remembers most of its prompt. */

/** Prompts that begin alike differ by chance in a few tokens; that decides nothing. */
const AS_GOOD_AS_TOKENS = 32;

interface Waiting<S> {
  worth: (sequence: S) => number;
  resolve: (sequence: S) => void;
}

export class SequencePool<S> {
  /** Least recently used first. */
  private readonly idle: S[];
  private readonly queue: Waiting<S>[] = [];

  constructor(sequences: readonly S[]) {
    this.idle = [...sequences];
  }

  /**
   * Takes a sequence; {@link release} gives it back. Waits in line while all are taken.
   * `worth` tells what taking a sequence saves, in tokens that need not be read: what it holds of the prompt, less
   * what is lost to the conversation that it served. Of those about as good as the best, and of all where nothing
   * is saved, the one that was not used for longest is taken.
   * Rejects with the signal's reason when aborted while waiting.
   */
  take(worth: (sequence: S) => number, signal: AbortSignal): Promise<S> {
    if (signal.aborted) return Promise.reject(signal.reason);
    const free = this.pick(worth);
    if (free !== undefined) return Promise.resolve(free);
    return new Promise((resolve, reject) => {
      const onAbort = () => {
        this.queue.splice(this.queue.indexOf(waiting), 1);
        reject(signal.reason);
      };
      const waiting: Waiting<S> = {
        worth,
        resolve: (sequence) => {
          signal.removeEventListener('abort', onAbort);
          resolve(sequence);
        },
      };
      signal.addEventListener('abort', onAbort, { once: true });
      this.queue.push(waiting);
    });
  }

  release(sequence: S): void {
    this.idle.push(sequence);
    const next = this.queue.shift();
    const picked = next && this.pick(next.worth);
    if (next && picked !== undefined) next.resolve(picked);
  }

  private pick(worth: (sequence: S) => number): S | undefined {
    const scores = this.idle.map((sequence) => Math.max(0, worth(sequence)));
    const best = Math.max(...scores);
    const index = scores.findIndex((score) => score >= best - AS_GOOD_AS_TOKENS);
    return index < 0 ? undefined : this.idle.splice(index, 1)[0];
  }
}
