import type { Api } from 'node-telegram-bot-api';
import type { AdapterContext } from '../adapter.ts';

export interface RegisterOptions {
  call<T>(doing: string, run: (bot: Api, abort: AbortSignal) => Promise<T>): Promise<T>;
  context: AdapterContext;
  channel: string;
}

/** Registers the commands that people's apps offer, when they are not the registered ones. A failure is only logged. */
export async function registerCommands({ call, context, channel }: RegisterOptions): Promise<void> {
  // Names and lengths: https://core.telegram.org/bots/api#botcommand
  const wanted = context.commands
    .filter(({ name, description }) => /^[a-z0-9_]{1,32}$/.test(name) && description !== '')
    .map(({ name, description }) => ({ command: name, description: description.slice(0, 256) }));
  try {
    const known = await call('read the commands', (bot, abort) => bot.getMyCommands({}, abort));
    if (JSON.stringify(known) === JSON.stringify(wanted)) return;
    await call('register the commands', (bot, abort) => bot.setMyCommands({ commands: wanted }, abort));
  } catch (error) {
    const reason = error instanceof Error ? error.message : 'unknown';
    context.log.debug({ channel, reason }, 'commands could not be registered');
  }
}
