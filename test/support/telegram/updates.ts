/** The queue of updates: kept and repeated until the offset moves past them, handed out by long polling. */
import { ApiError, integer, list, type Params } from './api.ts';

/** What the next polls that find updates do with them; `again` adds those that were acknowledged. */
export type Delivery = 'twice' | 'reversed' | 'again';

interface Poll {
  end(): void;
  conflict(): void;
}

const TERMINATED =
  'Conflict: terminated by other getUpdates request; make sure that only one bot instance is running';
const WEBHOOK =
  "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook to delete the webhook first";

export class Updates {
  /** Updates below this were acknowledged. */
  offset = 0;
  webhook = '';
  readonly deliveries: Delivery[] = [];
  private readonly queue: { id: number; update: unknown }[] = [];
  private lastId = 100_000;
  private allowed: string[] | undefined;
  private polling: Poll | undefined;

  constructor(private readonly changed: () => void) {}

  get pending(): number {
    return this.queue.filter(({ id }) => id >= this.offset).length;
  }

  /** Returns the update's id. Kinds that the last poll did not ask for are dropped, as the real server does. */
  add(update: unknown): number {
    const isObject = typeof update === 'object' && update !== null && !Array.isArray(update);
    const own = isObject && 'update_id' in update ? update.update_id : undefined;
    const id = typeof own === 'number' && Number.isSafeInteger(own) ? own : this.lastId + 1;
    this.lastId = Math.max(this.lastId, id);
    const kind = isObject ? Object.keys(update).find((key) => key !== 'update_id') : undefined;
    if (kind && isKind(kind) && this.allowed && !this.allowed.includes(kind)) return id;
    this.queue.push({ id, update: isObject && own === undefined ? { update_id: id, ...update } : update });
    this.endPoll();
    this.changed();
    return id;
  }

  /** Lets a poll that waits return with what there is. */
  endPoll(): void {
    this.polling?.end();
  }

  drop(): void {
    this.queue.length = 0;
  }

  /** `closed` is called back when the other side hangs up. */
  async get(params: Params, closed: (hangUp: () => void) => void): Promise<unknown[]> {
    if (this.webhook !== '') throw new ApiError(409, WEBHOOK);
    this.polling?.conflict();
    const from = integer(params.offset) ?? 0;
    if (from < 0) this.offset = this.queue.at(from)?.id ?? this.offset;
    else this.offset = Math.max(this.offset, from);
    this.allowed = list(params.allowed_updates)?.map(String) ?? this.allowed;
    this.changed();
    const seconds = Math.min(integer(params.timeout) ?? 0, 50);
    if (seconds > 0 && this.pending === 0) await this.wait(seconds, closed);
    return this.batch(Math.min(Math.max(integer(params.limit) ?? 100, 1), 100));
  }

  private wait(seconds: number, closed: (hangUp: () => void) => void): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => poll.end(), seconds * 1000);
      const finish = (): void => {
        clearTimeout(timer);
        if (this.polling === poll) this.polling = undefined;
      };
      const poll: Poll = {
        end() {
          finish();
          resolve();
        },
        conflict() {
          finish();
          reject(new ApiError(409, TERMINATED));
        },
      };
      this.polling = poll;
      closed(() => poll.end());
    });
  }

  private batch(limit: number): unknown[] {
    const waiting = this.queue.filter(({ id }) => id >= this.offset).slice(0, limit);
    const updates = waiting.map(({ update }) => update);
    const delivery = updates.length > 0 ? this.deliveries.shift() : undefined;
    if (delivery === 'twice') return updates.flatMap((update) => [update, update]);
    if (delivery === 'reversed') return updates.reverse();
    if (delivery === 'again') return this.queue.map(({ update }) => update).slice(-limit);
    return updates;
  }
}

function isKind(key: string): boolean {
  return /^(edited_)?(message|channel_post)$|^(callback|inline)_query$|_member$/.test(key);
}
