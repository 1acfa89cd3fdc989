import { createTerminal } from '../src/adapters/terminal.ts';
import type { TerminalFrame } from '../src/control.ts';
import { describeAdapter } from './contract/adapter.ts';
import { until } from './support/wait.ts';

describeAdapter('terminal', async () => {
  const adapter = createTerminal(() => undefined);
  const screen = new Map<string, string>();
  let acknowledged = 0;
  const connection = adapter.attach('main', {
    show(frame: TerminalFrame) {
      if (frame.type === 'removed') screen.delete(frame.id);
      if (frame.type !== 'reply') return;
      screen.set(frame.id, frame.text);
      // As a client on the other end of a socket does: later.
      setImmediate(() => connection.shown(frame.seq));
    },
  });
  return {
    adapter,
    secret: '',
    conversation: { channel: 'terminal', account: 'local', chat: 'main' },
    deliver(text) {
      connection.say(text).then(
        () => {
          acknowledged++;
        },
        // The person is told; here nobody looks.
        () => undefined,
      );
    },
    acknowledged: () => acknowledged,
    visible: () => [...screen].map(([messageId, text]) => ({ messageId, text })),
    open: () => 0,
    until: (probe) => until('a condition of the contract', probe).then(() => undefined),
    close: async () => connection.detach(),
  };
});
