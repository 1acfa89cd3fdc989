/** Commands and buttons: each is acknowledged once, within three seconds, and answered for fifteen minutes. */
import { ApiError, type Json, type Upload } from './http.ts';
import { nextId } from './ids.ts';
import type { Messages, SentMessage } from './messages.ts';

export interface Interaction {
  id: string;
  token: string;
  channelId: string;
  /** The kind of answer that acknowledged it: 5 "is thinking…", 6 nothing to be seen. */
  acknowledged: number | undefined;
  /** What stands in the place of "is thinking…". */
  original: SentMessage | undefined;
  followUps: SentMessage[];
  at: number;
}

const ACKNOWLEDGE_MS = 3_000;

export class Interactions {
  readonly all: Interaction[] = [];
  /** Those whose fifteen minutes are over. */
  readonly expired = new Set<string>();

  constructor(private readonly messages: Messages) {}

  create(channelId: string): Interaction {
    const id = nextId();
    const made: Interaction = {
      id,
      token: `aW50ZXJhY3Rpb246${id}`,
      channelId,
      acknowledged: undefined,
      original: undefined,
      followUps: [],
      at: Date.now(),
    };
    this.all.push(made);
    return made;
  }

  callback(id: string, token: string, { type }: Json): undefined {
    const found = this.all.find((one) => one.id === id && one.token === token);
    if (!found || Date.now() - found.at > ACKNOWLEDGE_MS)
      throw new ApiError(404, 10_062, 'Unknown interaction');
    if (found.acknowledged !== undefined) {
      throw new ApiError(400, 40_060, 'Interaction has already been acknowledged.');
    }
    found.acknowledged = Number(type);
  }

  webhook(token: string, method: string, id: string | undefined, body: Json, files: Upload[]): unknown {
    const found = this.all.find((one) => one.token === token);
    if (!found) throw new ApiError(404, 10_015, 'Unknown Webhook');
    if (this.expired.has(found.id)) throw new ApiError(401, 50_027, 'Invalid Webhook Token');
    if (found.acknowledged === undefined) throw new ApiError(404, 10_008, 'Unknown Message');
    if (method === 'POST') {
      const message = this.messages.create(found.channelId, body, files);
      found.followUps.push(message);
      return this.messages.shape(message);
    }
    const existing = id === '@original' ? found.original : this.messages.find(found.channelId, String(id));
    if (method === 'DELETE') {
      if (existing) existing.deleted = true;
      return undefined;
    }
    if (existing) return this.messages.edit(existing, body, files);
    found.original = this.messages.create(found.channelId, body, files);
    return this.messages.shape(found.original);
  }
}
