/** One turn at a time in each conversation and lane; many conversations at once. */
import type { Log } from '../log.ts';
import type { Lane, Lease } from '../memory/inbox.ts';
import type { Store } from '../memory/store.ts';
import { reach } from '../transition.ts';

/** Why a running turn was ended. */
export type EndReason = 'stop' | 'drain';

export interface Sessions {
  /** Something may wait in a conversation. */
  kick(conversation: string, lane: Lane): void;
  /** Ends the running turn of a conversation. Returns whether there was one. */
  stop(conversation: string): boolean;
  /** How many turns run now. */
  running(): number;
  /** Takes no more turns, waits up to `ms` for the running ones, then gives the rest back. */
  drain(ms: number): Promise<void>;
}

export interface SessionsOptions {
  store: Store;
  log: Log;
  /** Whether a conversation can be answered now: its channel is there. */
  ready(conversation: string): boolean;
  /** Answers a leased turn, including its record. `signal.reason` is an {@link EndReason}. */
  run(lease: Lease, signal: AbortSignal): Promise<void>;
  now?: () => number;
}

/** After a turn could not be recorded (a full disk), so long passes before it is tried again. */
const RETRY_MS = 5_000;

export function createSessions({ store, log, ready, run, now = Date.now }: SessionsOptions): Sessions {
  const running = new Map<string, { abort: AbortController; done: Promise<void> }>();
  let draining = false;

  function kick(conversation: string, lane: Lane): void {
    const key = `${lane} ${conversation}`;
    if (draining || running.has(key) || !ready(conversation)) return;
    let lease: Lease | undefined;
    try {
      lease = store.inbox.lease(conversation, lane, now());
    } catch (error) {
      log.error({ err: error, conversation }, 'a turn could not be begun; is the disk full?');
      kickLater(conversation, lane);
    }
    if (!lease) return;
    const { turn } = lease;
    reach('turn.leased');
    const abort = new AbortController();
    const done = run(lease, abort.signal).then(
      () => {
        running.delete(key);
        kick(conversation, lane);
      },
      (error: unknown) => {
        log.error({ err: error, turn }, 'a turn could not be recorded; is the disk full?');
        running.delete(key);
        kickLater(conversation, lane);
      },
    );
    running.set(key, { abort, done });
  }

  function kickLater(conversation: string, lane: Lane): void {
    setTimeout(() => kick(conversation, lane), RETRY_MS).unref();
  }

  return {
    kick,
    stop(conversation) {
      const turn = running.get(`turn ${conversation}`);
      turn?.abort.abort('stop' satisfies EndReason);
      return turn !== undefined;
    },
    running: () => running.size,
    async drain(ms) {
      draining = true;
      const turns = [...running.values()];
      const allDone = Promise.all(turns.map((turn) => turn.done));
      const timer = setTimeout(() => {
        for (const turn of turns) turn.abort.abort('drain' satisfies EndReason);
      }, ms);
      await allDone;
      clearTimeout(timer);
    },
  };
}
