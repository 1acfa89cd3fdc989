/** What the CLI can ask for. What needs stored data alone, the CLI does in its own process where no daemon runs. */
import type { Terminal } from '../adapters/terminal.ts';
import { KimiError } from '../errors.ts';
import { roomOf } from '../memory/outbox.ts';
import type { Store } from '../memory/store.ts';
import type { Models } from '../models/registry.ts';
import type { Operations } from './control.ts';
import type { StatusReport } from './health.ts';

export interface OperationsOptions {
  store: Store;
  /** Something waits in a conversation or to be sent. Does nothing where no daemon runs. */
  onReceived?(conversation: string, lane: 'turn' | 'now'): void;
  onQueued?(room: string): void;
  now?: () => number;
}

export function createStoreOperations({
  store,
  onReceived,
  onQueued,
  now = Date.now,
}: OperationsOptions): Operations {
  return {
    'pair.list': () => store.people.pendingPairings(now()),

    'pair.approve': ({ code }) => {
      const approved = store.atomically(() => {
        const pairing = store.people.approvePairing(text(code, 'code'), now());
        if (!pairing) return undefined;
        const greeting = `You're in${pairing.role === 'owner' ? ', and you are my owner' : ''}. Write to me, or send /help.`;
        const turn = `paired:${pairing.code}`;
        store.outbox.set(turn, pairing.conversation, [{ text: greeting }], { final: true, now: now() });
        return pairing;
      });
      if (!approved) {
        throw new KimiError(
          'No one waits with that code. Codes hold for an hour, and five wrong ones void them all; have them write to the bot again. `kimi pair` lists who waits.',
          { code: 'not_found' },
        );
      }
      onQueued?.(roomOf(approved.conversation));
      return { name: approved.name, channel: approved.channel, userId: approved.userId, role: approved.role };
    },

    'dead.list': () => [...store.inbox.deadLetters(), ...store.outbox.deadLetters()],

    'dead.retry': ({ box, id }) => {
      const number = Number(id);
      if (box === 'inbox') {
        const found = store.inbox.retry(number);
        if (found) onReceived?.(found.conversation, found.lane);
        return { retried: found !== undefined };
      }
      const room = store.outbox.retry(number);
      if (room !== undefined) onQueued?.(room);
      return { retried: room !== undefined };
    },

    trace: ({ id }) => {
      const wanted = text(id, 'id');
      const received = store.inbox.trace(wanted);
      const turns = [...new Set(received.map(({ turn }) => turn).filter((turn) => turn !== null))];
      const sent =
        turns.length > 0
          ? turns.flatMap((turn) => store.outbox.trace(turn, wanted))
          : store.outbox.trace(wanted, wanted);
      return { received, sent };
    },
  };
}

function text(value: unknown, name: string): string {
  if (typeof value === 'string' && value !== '') return value;
  throw new KimiError(`"${name}" is missing.`, { code: 'invalid_argument' });
}

export interface DaemonOperationsOptions {
  status(): Promise<StatusReport>;
  terminal: Terminal;
  models: Models;
  stop(): void;
}

/** What only a running daemon can do. */
export function createDaemonOperations({
  status,
  terminal,
  models,
  stop,
}: DaemonOperationsOptions): Operations {
  /** By the connection's signal, which is the same for all its requests. */
  const open = new WeakMap<AbortSignal, ReturnType<Terminal['attach']>>();
  return {
    status: () => status(),

    // The two are one connection: what is said is said in the conversation that the client has open.
    'chat.open': ({ conversation }, emit, signal) => {
      const client = terminal.attach(typeof conversation === 'string' ? conversation : 'main', {
        show: emit,
      });
      open.set(signal, client);
      return new Promise<void>((resolve) => {
        signal.addEventListener('abort', () => {
          client.detach();
          resolve();
        });
      });
    },

    'chat.shown': ({ seq }, _emit, signal) => open.get(signal)?.shown(Number(seq)),

    'chat.say': async ({ text: said }, _emit, signal) => {
      const client = open.get(signal);
      if (!client) throw new KimiError('Open a conversation first: chat.open.', { code: 'invalid_argument' });
      await client.say(text(said, 'text'));
    },

    'models.list': () => models.list(),
    'models.pull': async ({ name }, emit, signal) => await models.pull(text(name, 'name'), emit, signal),

    stop: () => stop(),
  };
}
