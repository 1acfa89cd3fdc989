/** Gateway frames, which anybody may have shaped: https://discord.com/developers/docs/events/gateway-events */
import { z } from 'zod';

/** Who we are on Discord. */
export interface Me {
  id: string;
  username: string;
  /** Commands belong to the application, whose id is mostly the bot's own. */
  applicationId: string;
}

/** What a connection takes up where another has left off. */
export interface Session {
  me: Me;
  id: string;
  /** Where to resume it; undefined: where it began. */
  url: string | undefined;
  /** The number of the last event. */
  sequence: number;
}

/** A frame that can be understood: for the library to keep the connection by, or an event that is ours. */
export type Frame =
  | { kind: 'hello' | 'control' | 'invalidated' | 'resumed'; payload: object }
  | { kind: 'ready'; payload: object; session: Session }
  | { kind: 'event'; type: string; data: Record<string, unknown>; sequence: number };

export const snowflake = z.string().regex(/^\d{1,20}$/);

const sequence = z.int().min(0);

const hello = z.object({
  op: z.literal(10),
  d: z.object({ heartbeat_interval: z.number().min(50).max(3_600_000) }),
});

/** Heartbeat, reconnect, heartbeat acknowledged. */
const control = z.object({ op: z.literal([1, 7, 11]) });

/** The session is invalid; `d` tells whether it can be resumed all the same. */
const invalidated = z.object({ op: z.literal(9), d: z.boolean() });

const ready = z.object({
  op: z.literal(0),
  t: z.literal('READY'),
  s: sequence,
  d: z.object({
    session_id: z.string().min(1),
    // Without one, a session is resumed where it began.
    resume_gateway_url: z
      .url({ protocol: /^wss?$/ })
      .optional()
      .catch(undefined),
    user: z.object({ id: snowflake, username: z.string() }),
    application: z.object({ id: snowflake }),
  }),
});

const resumed = z.object({ op: z.literal(0), t: z.literal('RESUMED'), s: sequence });

const event = z.object({
  op: z.literal(0),
  t: z.string().min(1),
  s: sequence,
  d: z.record(z.string(), z.unknown()),
});

/** Reads a frame. Undefined for what is none, or has not what its kind must have. */
export function readFrame(data: unknown): Frame | undefined {
  const frame = parse(data);
  const greeting = hello.safeParse(frame);
  if (greeting.success) return { kind: 'hello', payload: greeting.data };
  const command = control.safeParse(frame);
  if (command.success) return { kind: 'control', payload: command.data };
  const invalidation = invalidated.safeParse(frame);
  if (invalidation.success) return { kind: 'invalidated', payload: invalidation.data };
  const start = ready.safeParse(frame);
  if (start.success) {
    const { s, d } = start.data;
    const me: Me = { ...d.user, applicationId: d.application.id };
    // The library would wait for the servers that we are in to be described.
    const payload = { ...start.data, d: { ...d, guilds: [] } };
    return {
      kind: 'ready',
      payload,
      session: { me, id: d.session_id, url: d.resume_gateway_url, sequence: s },
    };
  }
  const again = resumed.safeParse(frame);
  if (again.success) return { kind: 'resumed', payload: { ...again.data, d: {} } };
  const found = event.safeParse(frame);
  if (!found.success || found.data.t === 'READY') return undefined;
  return { kind: 'event', type: found.data.t, data: found.data.d, sequence: found.data.s };
}

function parse(data: unknown): unknown {
  if (typeof data !== 'string') return undefined;
  try {
    return JSON.parse(data);
  } catch {
    return undefined;
  }
}
