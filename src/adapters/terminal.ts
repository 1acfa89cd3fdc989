/** The terminal: `kimi chat`, by way of the daemon's socket. */
import { userInfo } from 'node:os';
import type { TerminalFrame } from '../control.ts';
import { KimiError } from '../errors.ts';
import type { ConversationId, Inbound, Outbound } from '../message.ts';
import type { Adapter, ChannelHealth, Receive } from './adapter.ts';

/** A `kimi chat` that is connected. */
export interface TerminalClient {
  show(frame: TerminalFrame): void;
}

export interface TerminalConnection {
  say(text: string): Promise<void>;
  /** The client has shown the reply frame with this `seq`. */
  shown(seq: number): void;
  detach(): void;
}

export interface Terminal extends Adapter {
  /** Connects a client to a conversation of the terminal's, by name. */
  attach(name: string, client: TerminalClient): TerminalConnection;
}

/** The clients of a conversation, and the replies that none of them has shown yet, by `seq`. */
interface Room {
  clients: Set<TerminalClient>;
  unshown: Map<number, { frame: TerminalFrame; resolve(): void; reject(error: Error): void }>;
}

/** @param onPresent Called when somebody can be told what was waiting for them. */
export function createTerminal(onPresent: () => void): Terminal {
  const rooms = new Map<string, Room>();
  let receive: Receive | undefined;
  let health: ChannelHealth = { state: 'stopped', since: Date.now() };
  let lastId = 0;
  let lastSeq = 0;

  /** Ids grow, over restarts too, so that a client can tell whether a reply came after its message. */
  function nextId(): string {
    lastId = Math.max(lastId + 1, Date.now() * 1_000);
    return String(lastId);
  }

  const present = (conversation: ConversationId) => [...(rooms.get(conversation.chat)?.clients ?? [])];

  const nobodyThere = () =>
    new KimiError('Nobody is at the terminal. `kimi chat` shows what waits.', {
      code: 'recipient_away',
      retryable: true,
    });

  /** Resolves when a client has shown it: one that is there now, or that comes while none of them has. */
  async function show(id: string, outbound: Outbound, signal: AbortSignal): Promise<void> {
    if (signal.aborted) throw new KimiError('Stopped.', { code: 'stopped', retryable: true });
    const { conversation, final, replyTo, ask, file } = outbound;
    const saved = file && 'path' in file.source ? `[file: ${file.source.path}]` : '';
    const text = [outbound.text, saved].filter((part) => part !== '').join('\n\n');
    const room = rooms.get(conversation.chat);
    if (!room) throw nobodyThere();
    const seq = ++lastSeq;
    const frame: TerminalFrame = {
      type: 'reply',
      seq,
      id,
      text,
      final,
      ...(replyTo !== undefined && { answers: replyTo }),
      ...(ask && { options: ask.options.map(({ label }) => label) }),
    };
    await new Promise<void>((resolve, reject) => {
      room.unshown.set(seq, { frame, resolve, reject });
      for (const client of room.clients) client.show(frame);
    });
  }

  return {
    name: 'terminal',
    rates: { chatIntervalMs: 0 },
    editIntervalMs: 50,
    marksDrafts: true,
    async start(onReceive) {
      receive = onReceive;
      health = { state: 'connected', since: Date.now() };
    },
    split: (text) => (text === '' ? [] : [text]),
    async send(outbound, signal) {
      await show(outbound.idempotencyKey, outbound, signal);
      return { messageId: outbound.idempotencyKey };
    },
    edit: show,
    async remove(conversation, messageId) {
      for (const client of present(conversation)) client.show({ type: 'removed', id: messageId });
    },
    async typing(conversation) {
      for (const client of present(conversation)) client.show({ type: 'typing' });
    },
    health: () => health,
    async stop() {
      receive = undefined;
      health = { state: 'stopped', since: Date.now() };
    },

    attach(name, client) {
      const room: Room = rooms.get(name) ?? { clients: new Set(), unshown: new Map() };
      rooms.set(name, room);
      room.clients.add(client);
      // A client that is suspended shows nothing: whoever comes next does not wait for it.
      for (const { frame } of room.unshown.values()) client.show(frame);
      onPresent();
      return {
        async say(text) {
          if (!receive)
            throw new KimiError('Kimi is shutting down. Start it again: `kimi start`.', { code: 'stopped' });
          const { username } = userInfo();
          const inbound: Inbound = {
            conversation: { channel: 'terminal', account: 'local', chat: name },
            messageId: nextId(),
            sender: { id: username, name: username },
            group: false,
            addressed: true,
            text,
            attachments: [],
            sentAt: Date.now(),
          };
          // Told before it is answered, so that the client knows which reply is its own.
          client.show({ type: 'received', messageId: inbound.messageId });
          await receive(inbound);
          health = { ...health, lastMessageAt: inbound.sentAt };
        },
        shown(seq) {
          room.unshown.get(seq)?.resolve();
          room.unshown.delete(seq);
        },
        detach() {
          room.clients.delete(client);
          if (room.clients.size > 0) return;
          rooms.delete(name);
          for (const { reject } of room.unshown.values()) reject(nobodyThere());
        },
      };
    },
  };
}
