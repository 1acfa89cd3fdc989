/**
 * The session with the gateway, so far as its events are on disk. Kept over restarts: whoever resumes it is sent all
 * that came since, even first words in rooms that we did not know.
 */
import { z } from 'zod';
import type { AdapterState } from '../adapter.ts';
import { type Session, snowflake } from './frames.ts';

const KEY = 'session';
/** What is stored may lag behind what came: events that come twice are harmless. */
const STORE_EVERY_MS = 1_000;

const stored = z.object({
  me: z.object({ id: snowflake, username: z.string(), applicationId: snowflake }),
  id: z.string(),
  url: z.string().optional(),
  sequence: z.int().min(0),
});

export interface SessionRecord {
  /** The session to resume, with the last event that came; undefined where there is none. */
  current(): Session | undefined;
  begin(session: Session): void;
  /** It cannot be resumed. */
  end(): void;
  /** Its own address did not answer. */
  forgetUrl(): void;
  /** An event came. Call what it returns once that event is on disk. */
  saw(sequence: number): () => void;
  /** Writes down where it stands. */
  store(): void;
}

export function createSession(state: AdapterState, now: () => number = Date.now): SessionRecord {
  let session = read(state);
  let pending = new Set<number>();
  let storedAt = 0;

  function store(): void {
    storedAt = now();
    if (!session) {
      state.set(KEY, '');
      return;
    }
    const sequence = Math.min(session.sequence, ...[...pending].map((waiting) => waiting - 1));
    state.set(KEY, JSON.stringify({ ...session, sequence: Math.max(0, sequence) }));
  }

  return {
    current: () => session,
    begin(begun) {
      session = { ...begun };
      pending = new Set();
      store();
    },
    end() {
      if (!session) return;
      session = undefined;
      store();
    },
    forgetUrl() {
      if (session) session.url = undefined;
    },
    saw(sequence) {
      const waiting = pending;
      if (session) session.sequence = sequence;
      waiting.add(sequence);
      return () => {
        waiting.delete(sequence);
        if (waiting === pending && session && now() - storedAt >= STORE_EVERY_MS) store();
      };
    },
    store,
  };
}

function read(state: AdapterState): Session | undefined {
  try {
    const found = stored.safeParse(JSON.parse(state.get(KEY) || 'null'));
    return found.success ? { ...found.data, url: found.data.url } : undefined;
  } catch {
    return undefined;
  }
}
