/** Calls that end in time, whether or not the library that makes them does. */

/** Why a call was given up. */
export class GivenUp extends Error {
  constructor(readonly why: 'aborted' | 'timeout') {
    super(why === 'aborted' ? 'stopped' : 'no answer in time');
  }
}

/**
 * Runs a call. Rejects with {@link GivenUp} at once when `timeoutMs` is over or `signal` aborts, and aborts the signal
 * that the call was given; what the call does after that is not waited for.
 */
export function withDeadline<T>(
  timeoutMs: number,
  signal: AbortSignal,
  run: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  if (signal.aborted) return Promise.reject(new GivenUp('aborted'));
  const controller = new AbortController();
  return new Promise((resolve, reject) => {
    const give = (why: GivenUp['why']): void => {
      finish();
      reject(new GivenUp(why));
      controller.abort();
    };
    const onAbort = (): void => give('aborted');
    const timer = setTimeout(() => give('timeout'), timeoutMs);
    const finish = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
    };
    signal.addEventListener('abort', onAbort, { once: true });
    run(controller.signal).then(
      (result) => {
        finish();
        resolve(result);
      },
      (error: unknown) => {
        finish();
        reject(error);
      },
    );
  });
}
