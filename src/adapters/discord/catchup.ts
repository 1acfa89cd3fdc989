/** Fetches what was written in a room while there was no session that could be resumed. */
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import type { Log } from '../../log.ts';
import { backoff } from '../backoff.ts';
import type { DiscordApi } from './api.ts';
import { CallError, CODES, failedWith } from './errors.ts';
import { snowflake } from './frames.ts';
import { compareIds, type KnownRoom } from './known.ts';
import type { Timing } from './timing.ts';

/** As many as Discord hands over at once: https://discord.com/developers/docs/resources/message#get-channel-messages */
const PAGE = 100;
const MOST_PAGES = 20;
/** After that, the room's new messages are not kept waiting any longer. */
const MOST_ATTEMPTS = 5;
/** Ids are not given out in perfect order: what came a little before the last one is looked at again. */
const OVERLAP_MS = 5_000;

export interface CatchUpOptions {
  api: DiscordApi;
  channel: string;
  log: Log;
  timing: Timing;
  signal: AbortSignal;
}

export type Outcome = 'done' | 'gone' | 'failed';

export function createCatchUp({ api, channel, log, timing, signal }: CatchUpOptions) {
  /** Hands the room's messages since the last one seen to `take`, in order. */
  return async function catchUp(
    room: KnownRoom,
    take: (message: unknown) => Promise<void>,
  ): Promise<Outcome> {
    let after = before(room.seen);
    for (let page = 0, failures = 0; page < MOST_PAGES && !signal.aborted; ) {
      try {
        const messages = await fetchAfter(room.id, after);
        for (const message of messages) await take(message);
        after = messages.at(-1)?.id ?? after;
        if (messages.length < PAGE) return 'done';
        page++;
      } catch (error) {
        if (failedWith(error, CODES.unknownChannel, CODES.missingAccess)) return 'gone';
        failures++;
        if (failures >= MOST_ATTEMPTS || signal.aborted) return 'failed';
        const reason = error instanceof Error ? error.message : 'unknown';
        log.warn({ channel, room: room.id, reason }, 'missed messages could not be fetched yet');
        const wait = error instanceof CallError ? error.error.retryAfterMs : undefined;
        await sleep(wait ?? backoff(failures, timing), undefined, { signal }).catch(() => undefined);
      }
    }
    if (!signal.aborted)
      log.warn({ channel, room: room.id }, 'too many messages were missed: the latest are left out');
    return signal.aborted ? 'failed' : 'done';
  };

  async function fetchAfter(room: string, after: string) {
    const answer = await api.call(
      {
        doing: 'fetch missed messages',
        method: 'GET',
        route: `/channels/${room}/messages`,
        query: { after, limit: String(PAGE) },
      },
      signal,
    );
    // They come with the newest first.
    return z
      .array(z.looseObject({ id: snowflake }))
      .parse(answer)
      .sort((a, b) => compareIds(a.id, b.id));
  }
}

function before(id: string): string {
  const earlier = BigInt(id) - (BigInt(OVERLAP_MS) << 22n);
  return String(earlier > 0n ? earlier : 0n);
}
