/** The terminal: `kimi chat`, by way of the daemon's socket. */
import { userInfo } from 'node:os';
import type { TerminalFrame } from '../control.ts';
import { KimiError } from '../errors.ts';
import type { ConversationId, Inbound } from '../message.ts';
import type { Adapter, ChannelHealth, Receive } from './adapter.ts';

/** A `kimi chat` that is connected. */
export interface TerminalClient {
  show(frame: TerminalFrame): void;
}

export interface Terminal extends Adapter {
  /** Connects a client to a conversation of the terminal's, by name. */
  attach(name: string, client: TerminalClient): { say(text: string): Promise<void>; detach(): void };
}

/** @param onPresent Called when somebody can be told what was waiting for them. */
export function createTerminal(onPresent: () => void): Terminal {
  const clients = new Map<string, Set<TerminalClient>>();
  let receive: Receive | undefined;
  let health: ChannelHealth = { state: 'stopped', since: Date.now() };
  let lastId = 0;

  /** Ids grow, over restarts too, so that a client can tell whether a reply came after its message. */
  function nextId(): string {
    lastId = Math.max(lastId + 1, Date.now() * 1_000);
    return String(lastId);
  }

  function broadcast(conversation: ConversationId, frame: TerminalFrame): void {
    const present = clients.get(conversation.chat);
    if (!present?.size) {
      throw new KimiError('Nobody is at the terminal. `kimi chat` shows what waits.', {
        code: 'recipient_away',
        retryable: true,
      });
    }
    for (const client of present) client.show(frame);
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
    split: (text) => [text],
    async send({ conversation, idempotencyKey, text, final, replyTo }) {
      broadcast(conversation, {
        type: 'reply',
        id: idempotencyKey,
        text,
        final,
        ...(replyTo && { answers: replyTo }),
      });
      return { messageId: idempotencyKey };
    },
    async edit(messageId, { conversation, text, final, replyTo }) {
      broadcast(conversation, {
        type: 'reply',
        id: messageId,
        text,
        final,
        ...(replyTo && { answers: replyTo }),
      });
    },
    async remove(conversation, messageId) {
      broadcast(conversation, { type: 'removed', id: messageId });
    },
    async typing(conversation) {
      for (const client of clients.get(conversation.chat) ?? []) client.show({ type: 'typing' });
    },
    health: () => health,
    async stop() {
      receive = undefined;
      health = { state: 'stopped', since: Date.now() };
    },

    attach(name, client) {
      const present = clients.get(name) ?? new Set();
      clients.set(name, present.add(client));
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
        detach() {
          present.delete(client);
          if (present.size === 0) clients.delete(name);
        },
      };
    },
  };
}
