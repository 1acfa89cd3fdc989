/**
 * Socket Mode: hands out addresses for sockets, sends envelopes on them, and sends events again that nobody
 * acknowledged. Events that come while nobody is connected wait.
 */
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { type WebSocket, WebSocketServer } from 'ws';
import { object } from './api.ts';

/** What the next socket does instead of greeting and staying. */
export type SocketFault =
  /** The upgrade is refused. */
  | 'refused'
  /** It opens, and no hello comes. */
  | 'mute'
  /** It closes right after its hello. */
  | 'closes'
  /** It answers no ping. */
  | 'deaf';

export interface Envelope {
  type: 'events_api' | 'slash_commands' | 'interactive';
  payload: Record<string, unknown>;
  /** Attempts at delivering it. */
  attempts: number;
  acknowledged: boolean;
}

interface Waiting extends Envelope {
  socket: WebSocket | undefined;
  timer: NodeJS.Timeout | undefined;
}

/** How long Slack waits for an acknowledgement, and how often it tries: https://docs.slack.dev/apis/events-api#retries */
export interface SocketsOptions {
  acknowledgeMs: number;
  changed(): void;
}

export class Sockets {
  readonly live = new Set<WebSocket>();
  readonly envelopes: Envelope[] = [];
  readonly faults: SocketFault[] = [];
  /** What was sent that is no acknowledgement of anything. */
  readonly strange: string[] = [];
  opened = 0;
  private readonly server = new WebSocketServer({ noServer: true, autoPong: true });
  private readonly deaf = new WebSocketServer({ noServer: true, autoPong: false });
  private readonly tickets = new Set<string>();
  private readonly byId = new Map<string, Waiting>();
  private readonly waiting = new Set<Waiting>();
  private turn = 0;
  private ids = 0;

  constructor(private readonly options: SocketsOptions) {}

  /** Sockets that are open now, mute ones too. */
  get open(): number {
    return this.server.clients.size + this.deaf.clients.size;
  }

  /** The path of a socket that may be opened once. */
  ticket(): string {
    const ticket = `ticket-${++this.ids}`;
    this.tickets.add(ticket);
    return `/link/?ticket=${ticket}`;
  }

  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const ticket = new URL(request.url ?? '', 'http://localhost').searchParams.get('ticket') ?? '';
    const fault = this.faults.shift();
    if (!this.tickets.delete(ticket) || fault === 'refused') {
      socket.end('HTTP/1.1 403 Forbidden\r\n\r\n');
      return;
    }
    const server = fault === 'deaf' ? this.deaf : this.server;
    server.handleUpgrade(request, socket, head, (opened) => this.greet(opened, fault));
  }

  add(type: Envelope['type'], payload: Record<string, unknown>): Envelope {
    const envelope: Waiting = {
      type,
      payload,
      attempts: 0,
      acknowledged: false,
      socket: undefined,
      timer: undefined,
    };
    this.envelopes.push(envelope);
    this.waiting.add(envelope);
    this.deliver(envelope);
    return envelope;
  }

  /** Sends an envelope once more, acknowledged or not. */
  again(envelope: Envelope): void {
    this.deliver(envelope as Waiting);
  }

  /** Sends a frame, whatever it is, on every socket. */
  frame(data: string | Buffer): void {
    for (const socket of this.live) socket.send(data);
  }

  /** As the platform does before it closes: the socket is closed when the other side has had time for a new one. */
  disconnect(reason: string, closeAfterMs: number): void {
    for (const socket of [...this.live]) {
      socket.send(JSON.stringify({ type: 'disconnect', reason, debug_info: { host: 'loopback' } }));
      setTimeout(() => socket.close(1000), closeAfterMs).unref();
    }
  }

  /** Ends every socket without a word. */
  drop(): void {
    for (const socket of this.live) socket.terminate();
  }

  close(): void {
    for (const socket of [...this.server.clients, ...this.deaf.clients]) socket.terminate();
    for (const envelope of this.waiting) clearTimeout(envelope.timer);
    this.waiting.clear();
  }

  private greet(socket: WebSocket, fault: SocketFault | undefined): void {
    this.opened++;
    this.live.add(socket);
    socket.on('message', (data) => this.read(String(data)));
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.live.delete(socket);
      for (const envelope of this.waiting) if (envelope.socket === socket) this.deliver(envelope);
      this.options.changed();
    });
    if (fault === 'mute') {
      // Nothing is sent on it either.
      this.live.delete(socket);
      return;
    }
    const hello = { type: 'hello', num_connections: this.live.size, connection_info: { app_id: 'A1' } };
    socket.send(JSON.stringify(hello));
    if (fault === 'closes') {
      socket.close(1000);
      return;
    }
    for (const envelope of this.waiting) if (!envelope.socket) this.deliver(envelope);
    this.options.changed();
  }

  private deliver(envelope: Waiting): void {
    clearTimeout(envelope.timer);
    const open = [...this.live].filter((socket) => socket.readyState === socket.OPEN);
    const socket = open[this.turn++ % Math.max(open.length, 1)];
    envelope.socket = socket;
    if (!socket) return;
    const id = `envelope-${++this.ids}`;
    this.byId.set(id, envelope);
    const retry =
      envelope.attempts > 0 && envelope.type === 'events_api'
        ? { retry_attempt: envelope.attempts, retry_reason: 'timeout' }
        : {};
    envelope.attempts++;
    const { type, payload } = envelope;
    socket.send(
      JSON.stringify({
        envelope_id: id,
        type,
        payload,
        accepts_response_payload: type !== 'events_api',
        ...retry,
      }),
    );
    if (envelope.acknowledged) return;
    envelope.timer = setTimeout(() => this.deliver(envelope), this.options.acknowledgeMs).unref();
  }

  private read(data: string): void {
    let frame: Record<string, unknown> = {};
    try {
      frame = object(JSON.parse(data));
    } catch {
      // Counts as strange below.
    }
    const envelope = this.byId.get(String(frame.envelope_id));
    if (!envelope) this.strange.push(data);
    else {
      envelope.acknowledged = true;
      clearTimeout(envelope.timer);
      this.waiting.delete(envelope);
    }
    this.options.changed();
  }
}
