/** What every adapter must pass. Its test provides the platform, and how to make it do things. */
import { afterEach, describe, expect, test } from 'vitest';
import type { Adapter, AdapterContext, Receive } from '../../src/adapters/adapter.ts';
import { KimiError } from '../../src/errors.ts';
import { createLog } from '../../src/log.ts';
import type { ConversationId, Inbound, Outbound } from '../../src/message.ts';

/** A message on the platform, as people see it. */
export interface Visible {
  messageId: string;
  text: string;
}

/** A platform on loopback and an adapter that is connected to it once started. */
export interface AdapterHarness {
  adapter: Adapter;
  /** A secret that must never be seen in an error, a log line or the health. */
  secret: string;
  /** The room that `deliver` writes in and that can be written to. */
  conversation: ConversationId;
  /** A person writes to us directly. */
  deliver(text: string): void;
  /** The platform offers what it delivered once more. Absent where it never does. */
  deliverAgain?(): void;
  /** How many messages the adapter has acknowledged. */
  acknowledged(): number;
  /** What is to be seen in the room, in order. */
  visible(): Visible[];
  // What follows is absent where there is no network between us and the person: at the terminal.
  /** The next call is answered "too many requests", to be repeated after this time. */
  limitNext?(retryAfterMs: number): void;
  /** The next call is refused for good: the person has blocked us. */
  refuseNext?(): void;
  /** The next call's answer is lost, after the platform has done what it was asked. */
  loseNextAnswer?(): void;
  /** From now on, nothing answers at the platform's address. */
  shutDown?(): Promise<void>;
  /** From now on, the credentials are refused. */
  revoke?(): void;
  /** Requests and connections that are open at the platform. */
  open(): number;
  /** Resolves when `probe` is true; rejects after a generous time. */
  until(probe: () => boolean): Promise<void>;
  close(): Promise<void>;
}

export function describeAdapter(name: string, start: () => Promise<AdapterHarness>): void {
  describe(`${name} keeps the contract of an adapter`, () => {
    let harness: AdapterHarness | undefined;
    const logged: string[] = [];

    const context: AdapterContext = {
      log: createLog({
        level: 'debug',
        secrets: () => [],
        destination: { write: (line) => void logged.push(line) },
      }),
      commands: [{ name: 'help', description: 'What I can do' }],
    };

    async function begin(): Promise<AdapterHarness> {
      logged.length = 0;
      harness = await start();
      return harness;
    }

    async function connected(receive: Receive): Promise<AdapterHarness> {
      const made = await begin();
      await made.adapter.start(receive, context);
      await made.until(() => made.adapter.health().state === 'connected');
      return made;
    }

    afterEach(async () => {
      await harness?.adapter.stop();
      await harness?.close();
      const secret = harness?.secret;
      harness = undefined;
      if (secret) expect(logged.join('\n')).not.toContain(secret);
    });

    function outbound(conversation: ConversationId, text: string): Outbound {
      return { conversation, idempotencyKey: text, text, final: true };
    }

    const never = new AbortController().signal;

    test('acknowledges a message only when it is on disk', async () => {
      const taken: Inbound[] = [];
      let onDisk = (): void => undefined;
      const { adapter, deliver, acknowledged, until } = await connected(async (inbound) => {
        taken.push(inbound);
        await new Promise<void>((resolve) => {
          onDisk = resolve;
        });
      });
      deliver('first');
      await until(() => taken.length === 1);
      expect(taken[0]?.text).toBe('first');
      expect(taken[0]?.addressed).toBe(true);
      expect(taken[0]?.conversation.channel).toBe(adapter.name);
      expect(acknowledged()).toBe(0);
      onDisk();
      await until(() => acknowledged() === 1);
      expect(adapter.health().lastMessageAt).toBeGreaterThan(0);
    });

    test('offers a message again when the disk failed', async ({ skip }) => {
      const taken: string[] = [];
      const acknowledgedBefore: number[] = [];
      const { adapter, deliver, acknowledged, until, limitNext } = await connected(async ({ messageId }) => {
        taken.push(messageId);
        acknowledgedBefore.push(acknowledged());
        if (taken.length < 3) throw new KimiError('disk full', { code: 'internal' });
      });
      // Who types sees that it failed, and types it again.
      if (!limitNext) return skip();
      deliver('keep me');
      await until(() => acknowledged() === 1);
      expect(acknowledgedBefore).toEqual([0, 0, 0]);
      expect(taken).toHaveLength(3);
      expect(new Set(taken).size).toBe(1);
      await until(() => adapter.health().state === 'connected');
    });

    test('keeps the order, and gives each message an id of its own', async () => {
      const taken: Inbound[] = [];
      const { deliver, acknowledged, until } = await connected(async (inbound) => void taken.push(inbound));
      const texts = Array.from({ length: 20 }, (_, i) => `message ${i}`);
      for (const text of texts) deliver(text);
      await until(() => acknowledged() === 20);
      expect(taken.map((inbound) => inbound.text)).toEqual(texts);
      expect(new Set(taken.map((inbound) => inbound.messageId)).size).toBe(20);
    });

    test('hands a repeated message over under the same id, if at all', async ({ skip }) => {
      const taken: Inbound[] = [];
      const { deliver, deliverAgain, until } = await connected(async (inbound) => void taken.push(inbound));
      if (!deliverAgain) return skip();
      deliver('once');
      await until(() => taken.length === 1);
      deliverAgain();
      deliver('twice');
      await until(() => taken.some((inbound) => inbound.text === 'twice'));
      const ids = taken.filter((inbound) => inbound.text === 'once').map((inbound) => inbound.messageId);
      expect(new Set(ids).size).toBe(1);
    });

    test('sends, edits and removes by the id that it returned', async () => {
      const { adapter, conversation, visible } = await begin();
      const first = await adapter.send(outbound(conversation, 'one'), never);
      const second = await adapter.send(outbound(conversation, 'two'), never);
      expect(first.messageId).not.toBe(second.messageId);
      expect(visible().map(({ text }) => text)).toEqual(['one', 'two']);
      if (adapter.edit) {
        await adapter.edit(first.messageId, outbound(conversation, 'changed'), never);
        expect(visible().map(({ text }) => text)).toEqual(['changed', 'two']);
        await adapter.edit(first.messageId, outbound(conversation, 'changed'), never);
      }
      if (adapter.remove) {
        await adapter.remove(conversation, first.messageId, never);
        expect(visible().map(({ text }) => text)).toEqual(['two']);
        await adapter.remove(conversation, first.messageId, never);
      }
    });

    test('splits what is too long into messages that the platform takes', async ({ skip }) => {
      const { adapter, conversation, visible, limitNext } = await begin();
      expect(adapter.split('')).toEqual([]);
      expect(adapter.split('short')).toEqual(['short']);
      if (!limitNext) return skip();
      const code = Array.from({ length: 2_000 }, (_, i) => `line_${i}();`).join('\n');
      const text = `Intro <&> **bold**\n\n\`\`\`js\n${code}\n\`\`\`\nOutro 😀`;
      const pieces = adapter.split(text);
      expect(pieces.length).toBeGreaterThan(1);
      for (const piece of pieces) await adapter.send(outbound(conversation, piece), never);
      const seen = visible()
        .map((message) => message.text)
        .join('\n');
      for (const line of [...code.split('\n'), 'Outro 😀']) expect(seen).toContain(line);
    });

    test('a text that grows changes only its last piece', async () => {
      const { adapter } = await begin();
      const text = 'A sentence that is said again. '.repeat(1_000);
      let before: string[] = [];
      for (let end = 500; end <= text.length; end += 500) {
        const pieces = adapter.split(text.slice(0, end));
        expect(pieces.slice(0, Math.max(0, before.length - 1))).toEqual(before.slice(0, -1));
        before = pieces;
      }
    });

    test('says how long to wait when the platform says so', async ({ skip }) => {
      const { adapter, conversation, limitNext } = await begin();
      if (!limitNext) return skip();
      limitNext(7_000);
      const error = await failure(adapter.send(outbound(conversation, 'x'), never));
      expect(error).toMatchObject({ code: 'rate_limited', retryable: true, retryAfterMs: 7_000 });
    });

    test('says when a message will never be taken', async ({ skip }) => {
      const { adapter, conversation, refuseNext } = await begin();
      if (!refuseNext) return skip();
      refuseNext();
      expect(await failure(adapter.send(outbound(conversation, 'x'), never))).toMatchObject({
        code: 'refused',
        retryable: false,
      });
    });

    test('says when it cannot know whether a message was taken', async ({ skip }) => {
      const { adapter, conversation, loseNextAnswer, visible } = await begin();
      if (!loseNextAnswer) return skip();
      loseNextAnswer();
      expect(await failure(adapter.send(outbound(conversation, 'x'), never))).toMatchObject({
        code: 'network',
        retryable: true,
        outcomeUnknown: true,
      });
      expect(visible()).toHaveLength(1);
    });

    test('says when a message cannot have been taken, and does not show the secret', async ({ skip }) => {
      const { adapter, conversation, shutDown, secret } = await begin();
      if (!shutDown) return skip();
      await shutDown();
      const error = await failure(adapter.send(outbound(conversation, 'x'), never));
      expect(error).toMatchObject({ code: 'network', retryable: true, outcomeUnknown: false });
      expect(everythingIn(error)).not.toContain(secret);
      await adapter.typing?.(conversation);
    });

    test('stops waiting for a send that is aborted', async () => {
      const { adapter, conversation } = await begin();
      expect(await failure(adapter.send(outbound(conversation, 'x'), AbortSignal.abort()))).toMatchObject({
        code: 'stopped',
      });
    });

    test('starts although the platform is away, and says so', async ({ skip }) => {
      const { adapter, shutDown, secret, until } = await begin();
      if (!shutDown) return skip();
      await shutDown();
      await adapter.start(async () => undefined, context);
      await until(() => adapter.health().state === 'retrying');
      expect(adapter.health().lastError).toBeTruthy();
      expect(adapter.health().lastError).not.toContain(secret);
    });

    test('says when its credentials are refused, without showing them', async ({ skip }) => {
      const { adapter, revoke, secret, until } = await begin();
      if (!revoke) return skip();
      revoke();
      await adapter.start(async () => undefined, context);
      await until(() => adapter.health().state === 'refused');
      expect(adapter.health().lastError).toBeTruthy();
      expect(adapter.health().lastError).not.toContain(secret);
    });

    test('stops, and leaves nothing open', async () => {
      const taken: Inbound[] = [];
      const { adapter, deliver, open, until } = await connected(async (inbound) => void taken.push(inbound));
      await adapter.stop();
      expect(adapter.health().state).toBe('stopped');
      await until(() => open() === 0);
      deliver('too late');
      await adapter.stop();
      expect(taken).toEqual([]);
    });

    test('receives what came while it was stopped', async ({ skip }) => {
      const taken: string[] = [];
      const receive: Receive = async (inbound) => void taken.push(inbound.text);
      const { adapter, deliver, until, limitNext } = await connected(receive);
      // Nobody can type where nothing runs.
      if (!limitNext) return skip();
      await adapter.stop();
      deliver('while you were out');
      await adapter.start(receive, context);
      await until(() => taken.includes('while you were out'));
    });
  });
}

async function failure(promise: Promise<unknown>): Promise<KimiError> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof KimiError)) throw new Error(`not a KimiError: ${String(error)}`);
  return error;
}

/** The messages and stacks of an error and its causes. */
export function everythingIn(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return `${error.message}\n${error.stack ?? ''}\n${JSON.stringify(error)}\n${error.cause ? everythingIn(error.cause) : ''}`;
}
