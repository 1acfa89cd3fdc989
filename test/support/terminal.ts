/** A terminal client, as `kimi chat` is one, that remembers what it was shown. */
import { EventEmitter, on } from 'node:events';
import { connectDaemon } from '../../src/cli/client.ts';
import type { TerminalFrame } from '../../src/control.ts';

export type ReplyFrame = Extract<TerminalFrame, { type: 'reply' }>;

export interface TerminalUser {
  say(text: string): Promise<void>;
  /** Resolves with the next reply, or state of one, that `matches`, those already shown included. */
  reply(matches: (frame: ReplyFrame) => boolean): Promise<ReplyFrame>;
  /** Says something and resolves with the text of its complete reply. */
  ask(text: string): Promise<string>;
  frames: readonly ReplyFrame[];
  leave(): void;
}

export async function terminalUser(home: string, conversation = 'main'): Promise<TerminalUser> {
  const client = await connectDaemon(home);
  if (!client) throw new Error(`no daemon runs in ${home}`);
  const frames: ReplyFrame[] = [];
  const arrivals = new EventEmitter();
  arrivals.setMaxListeners(0);
  const ids: string[] = [];
  client
    .call('chat.open', { conversation }, (event) => {
      const frame = event as TerminalFrame;
      if (frame.type === 'received') ids.push(frame.messageId);
      if (frame.type !== 'reply') return;
      frames.push(frame);
      client.call('chat.shown', { seq: frame.seq }).catch(() => {});
      arrivals.emit('reply', frame);
    })
    // Ends with the daemon.
    .catch(() => {});

  const reply: TerminalUser['reply'] = async (matches) => {
    const events = on(arrivals, 'reply');
    const shown = frames.find(matches);
    if (shown) return shown;
    for await (const [frame] of events) if (matches(frame as ReplyFrame)) return frame as ReplyFrame;
    throw new Error('unreachable');
  };
  const say = async (text: string) => void (await client.call('chat.say', { text }));
  return {
    say,
    reply,
    async ask(text) {
      await say(text);
      const mine = Number(ids.at(-1));
      return (await reply((frame) => frame.final && Number(frame.answers) >= mine)).text;
    },
    frames,
    leave: () => client.close(),
  };
}
