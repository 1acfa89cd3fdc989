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

/** A connected client, and the frames that it has yet to show. */
interface Present {
  client: TerminalClient;
  unshown: Map<number, { resolve(): void; reject(error: Error): void }>;
}

/** @param onPresent Called when somebody can be told what was waiting for them. */
export function createTerminal(onPresent: () => void): Terminal {
  const rooms = new Map<string, Set<Present>>();
  let receive: Receive | undefined;
  let health: ChannelHealth = { state: 'stopped', since: Date.now() };
  let lastId = 0;
  let lastSeq = 0;

  /** Ids grow, over restarts too, so that a client can tell whether a reply came after its message. */
  function nextId(): string {
    lastId = Math.max(lastId + 1, Date.now() * 1_000);
    return String(lastId);
  }

  const present = (conversation: ConversationId) => [...(rooms.get(conversation.chat) ?? [])];

  /** Resolves when one of those present has shown it. */
  async function show(id: string, outbound: Outbound, signal: AbortSignal): Promise<void> {
    if (signal.aborted) throw new KimiError('Stopped.', { code: 'stopped', retryable: true });
    const { conversation, final, replyTo, ask, file } = outbound;
    const saved = file && 'path' in file.source ? `[file: ${file.source.path}]` : '';
    const text = [outbound.text, saved].filter((part) => part !== '').join('\n\n');
    const seq = ++lastSeq;
    const shown = present(conversation).map(
      ({ client, unshown }) =>
        new Promise<void>((resolve, reject) => {
          unshown.set(seq, { resolve, reject });
          client.show({
            type: 'reply',
            seq,
            id,
            text,
            final,
            ...(replyTo !== undefined && { answers: replyTo }),
            ...(ask && { options: ask.options.map(({ label }) => label) }),
          });
        }),
    );
    // Of nobody, too: an empty list is nobody who has shown it.
    await Promise.any(shown).catch((cause: unknown) => {
      throw new KimiError('Nobody is at the terminal. `kimi chat` shows what waits.', {
        code: 'recipient_away',
        retryable: true,
        cause,
      });
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
      for (const { client } of present(conversation)) client.show({ type: 'removed', id: messageId });
    },
    async typing(conversation) {
      for (const { client } of present(conversation)) client.show({ type: 'typing' });
    },
    health: () => health,
    async stop() {
      receive = undefined;
      health = { state: 'stopped', since: Date.now() };
    },

    attach(name, client) {
      const self: Present = { client, unshown: new Map() };
      const room = rooms.get(name) ?? new Set();
      rooms.set(name, room.add(self));
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
          self.unshown.get(seq)?.resolve();
          self.unshown.delete(seq);
        },
        detach() {
          room.delete(self);
          if (room.size === 0) rooms.delete(name);
          for (const { reject } of self.unshown.values()) reject(new Error('the client left'));
        },
      };
    },
  };
}
