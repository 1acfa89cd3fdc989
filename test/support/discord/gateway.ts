/** The gateway: sessions that outlive connections, replay of what was missed, and misbehaviour on demand. */
import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { WebSocket, WebSocketServer } from 'ws';
import { type Json, object } from './http.ts';

/** What the next connection is met with instead of the usual. */
export type Plan =
  /** The upgrade is refused by a gateway's page, or never answered. */
  | 'refused'
  | 'hanging'
  /** Connected, but never greeted; or greeted, and never begun. */
  | 'noHello'
  | 'noReady'
  /** Closed with a code as soon as it identifies or resumes. */
  | { close: number }
  /** "Invalid session" instead of READY or RESUMED. */
  | { invalid: boolean };

interface Session {
  id: string;
  sequence: number;
  events: { s: number; t: string; d: unknown }[];
  socket: WebSocket | undefined;
}

export interface GatewayOptions {
  token(): string;
  heartbeatMs: number;
  /** What READY says of us. */
  ready(): Json;
  /** What comes right after READY. */
  afterReady(): { t: string; d: unknown }[];
  onChange(): void;
}

export class Gateway {
  readonly counts = { identified: 0, resumed: 0, heartbeats: 0, closedByUs: [] as number[] };
  readonly intents: number[] = [];
  /** Whether heartbeats are acknowledged. */
  acknowledges = true;
  readonly plans: Plan[] = [];
  private readonly server = new WebSocketServer({ noServer: true });
  private readonly sessions = new Map<string, Session>();
  private readonly sockets = new Set<WebSocket>();
  /** Those that we close, not the client. */
  private readonly closing = new WeakSet<WebSocket>();
  private readonly hanging = new Set<Duplex>();
  private sessionCount = 0;

  constructor(private readonly options: GatewayOptions) {}

  attach(server: Server): void {
    server.on('upgrade', (request, socket, head) => this.upgrade(request, socket, head));
  }

  get connections(): number {
    return this.sockets.size + this.hanging.size;
  }

  /** Sends an event to every session, now or when it resumes. */
  dispatch(t: string, d: unknown): void {
    for (const session of this.sessions.values()) this.event(session, t, d);
  }

  /** Puts anything at all on the wire. */
  inject(frame: unknown): void {
    const data = typeof frame === 'string' || frame instanceof Uint8Array ? frame : JSON.stringify(frame);
    for (const socket of this.sockets) socket.send(data ?? 'undefined');
  }

  /** Closes all connections with a code; 1006 cuts them. */
  close(code: number): void {
    if (code === 1_000 || code === 4_007 || code === 4_009) this.forget();
    for (const socket of this.sockets) {
      this.closing.add(socket);
      if (code === 1_006) socket.terminate();
      else socket.close(code);
    }
  }

  /** From now on, no session can be resumed. */
  forget(): void {
    this.sessions.clear();
  }

  shutDown(): void {
    for (const socket of [...this.sockets]) socket.terminate();
    for (const socket of this.hanging) socket.destroy();
    this.server.close();
  }

  private upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const plan = this.plans.shift();
    if (plan === 'refused') {
      socket.end('HTTP/1.1 502 Bad Gateway\r\nconnection: close\r\n\r\n');
      return;
    }
    if (plan === 'hanging') {
      this.hanging.add(socket);
      socket.on('error', () => undefined);
      socket.on('end', () => socket.destroy());
      socket.resume();
      socket.once('close', () => {
        this.hanging.delete(socket);
        this.options.onChange();
      });
      return;
    }
    this.server.handleUpgrade(request, socket, head, (connection) => this.connected(connection, plan));
  }

  private connected(socket: WebSocket, plan: Plan | undefined): void {
    this.sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', (code) => {
      this.sockets.delete(socket);
      const session = [...this.sessions.values()].find((one) => one.socket === socket);
      if (session) session.socket = undefined;
      // A client that closes so has no use for its session any more.
      if (session && !this.closing.has(socket) && [1_000, 1_001].includes(code)) {
        this.sessions.delete(session.id);
      }
      this.counts.closedByUs.push(code);
      this.options.onChange();
    });
    socket.on('message', (data) => {
      this.frame(socket, object(JSON.parse(String(data))), plan);
      this.options.onChange();
    });
    if (plan !== 'noHello')
      this.send(socket, { op: 10, d: { heartbeat_interval: this.options.heartbeatMs } });
    this.options.onChange();
  }

  private frame(socket: WebSocket, { op, d }: Json, plan: Plan | undefined): void {
    const given = object(d);
    if (op === 1) {
      this.counts.heartbeats++;
      if (this.acknowledges) this.send(socket, { op: 11 });
    } else if (op !== 2 && op !== 6) {
      socket.close(4_001);
    } else if (given.token !== this.options.token()) {
      socket.close(4_004);
    } else {
      if (op === 2) {
        this.counts.identified++;
        this.intents.push(Number(given.intents));
      }
      this.enter(socket, op, given, plan);
    }
  }

  private enter(socket: WebSocket, op: 2 | 6, given: Json, plan: Plan | undefined): void {
    if (plan === 'noReady') return;
    if (typeof plan === 'object' && 'close' in plan) socket.close(plan.close);
    else if (typeof plan === 'object') this.send(socket, { op: 9, d: plan.invalid });
    else if (op === 2) this.begin(socket);
    else this.resume(socket, given);
  }

  private begin(socket: WebSocket): void {
    const session: Session = { id: `session-${++this.sessionCount}`, sequence: 0, events: [], socket };
    this.sessions.set(session.id, session);
    this.event(session, 'READY', { ...this.options.ready(), session_id: session.id });
    for (const { t, d } of this.options.afterReady()) this.event(session, t, d);
  }

  private resume(socket: WebSocket, { session_id: id, seq }: Json): void {
    const session = this.sessions.get(String(id));
    if (!session) {
      this.send(socket, { op: 9, d: false });
    } else if (typeof seq !== 'number' || seq > session.sequence) {
      socket.close(4_007);
    } else {
      this.counts.resumed++;
      if (session.socket !== socket) session.socket?.terminate();
      session.socket = socket;
      for (const event of session.events.filter(({ s }) => s > seq)) this.send(socket, { op: 0, ...event });
      this.event(session, 'RESUMED', {});
    }
  }

  private event(session: Session, t: string, d: unknown): void {
    const event = { s: ++session.sequence, t, d };
    if (t !== 'RESUMED' && t !== 'READY') session.events.push(event);
    if (session.socket?.readyState === WebSocket.OPEN) this.send(session.socket, { op: 0, ...event });
  }

  private send(socket: WebSocket, frame: Json): void {
    socket.send(JSON.stringify(frame));
  }
}
