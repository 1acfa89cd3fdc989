/** The platforms' stand-ins behind one face: what people write, and what they see. */
import { startDiscord } from './discord.ts';
import { startSlack } from './slack.ts';
import { startTelegram } from './telegram.ts';

/** A message of the bot's that somebody sees. */
export interface Seen {
  room: string;
  /** As the ledger calls it. */
  id: string;
  text: string;
}

export interface Platform {
  name: 'telegram' | 'slack' | 'discord';
  /** What `channels.<name>` is set to. */
  config: object;
  /** The n-th person writes in their direct chat. */
  say(person: number, text: string): void;
  /** What people see now, in the order in which it was sent. */
  seen(): Seen[];
  /** The room of the n-th person. */
  room(person: number): string;
  waitFor<T>(probe: () => T | undefined | null | false, what?: string, timeoutMs?: number): Promise<T>;
  close(): Promise<void>;
}

export async function telegramPlatform(): Promise<Platform> {
  const server = await startTelegram();
  const id = (person: number) => 1_000 + person;
  return {
    name: 'telegram',
    config: { token: server.token, apiRoot: server.apiRoot },
    say: (person, text) => void server.say(id(person), text),
    seen: () =>
      server.sent
        .filter(({ deleted }) => !deleted)
        .map(({ chatId, messageId, text }) => ({ room: String(chatId), id: `${chatId}:${messageId}`, text })),
    room: (person) => String(id(person)),
    waitFor: server.waitFor,
    close: server.close,
  };
}

export async function slackPlatform(): Promise<Platform> {
  const server = await startSlack();
  const id = (person: number) => `U${1_000 + person}`;
  return {
    name: 'slack',
    config: { botToken: server.botToken, appToken: server.appToken, apiUrl: server.apiUrl },
    say: (person, text) => void server.say(id(person), text),
    seen: () =>
      server.sent
        .filter(({ deleted }) => !deleted)
        .map(({ channel, ts, text }) => ({ room: channel, id: `${channel}:${ts}`, text })),
    room: (person) => server.direct(id(person)),
    waitFor: server.waitFor,
    close: server.close,
  };
}

export async function discordPlatform(): Promise<Platform> {
  const server = await startDiscord();
  const id = (person: number) => String(300_000_000_000_000_000n + BigInt(person));
  return {
    name: 'discord',
    config: { token: server.token, apiUrl: server.apiUrl },
    say: (person, text) => void server.say(id(person), text),
    seen: () =>
      server.sent
        .filter(({ deleted }) => !deleted)
        .map((message) => ({
          room: message.channelId,
          id: `${message.channelId}:${message.id}`,
          text: message.content,
        })),
    room: (person) => server.chatOf(id(person)),
    waitFor: server.waitFor,
    close: server.close,
  };
}
