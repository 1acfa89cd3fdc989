import { z } from 'zod';
import type { AdapterContext } from '../adapter.ts';
import type { DiscordApi } from './api.ts';

export interface RegisterOptions {
  api: DiscordApi;
  applicationId: string;
  context: AdapterContext;
  channel: string;
  signal: AbortSignal;
}

/** Names and lengths: https://discord.com/developers/docs/interactions/application-commands#application-command-object */
const NAME = /^[-_\p{Ll}\p{Lo}\p{N}]{1,32}$/u;
const MOST = 100;

const option = z.object({ type: z.int(), name: z.string(), description: z.string() });
const registered = z.array(
  z.object({ name: z.string(), description: z.string(), options: z.array(option).catch([]) }),
);

/** Registers the commands that people's apps offer, when they are not the registered ones. A failure is only logged. */
export async function registerCommands(options: RegisterOptions): Promise<void> {
  const { api, applicationId, context, channel, signal } = options;
  const route = `/applications/${applicationId}/commands` as const;
  const wanted = context.commands
    .filter(({ name, description }) => NAME.test(name) && description !== '')
    .slice(0, MOST)
    .map(({ name, description }) => ({
      name,
      description: [...description].slice(0, 100).join(''),
      options: [{ type: 3, name: 'text', description: 'What to say with it' }],
    }));
  try {
    const answer = await api.call({ doing: 'read the commands', method: 'GET', route }, signal);
    const known = registered.safeParse(answer);
    if (known.success && JSON.stringify(sorted(known.data)) === JSON.stringify(sorted(wanted))) return;
    await api.call({ doing: 'register the commands', method: 'PUT', route, body: wanted }, signal);
  } catch (error) {
    const reason = error instanceof Error ? error.message : 'unknown';
    context.log.debug({ channel, reason }, 'commands could not be registered');
  }
}

function sorted<T extends { name: string }>(commands: readonly T[]): T[] {
  return [...commands].sort((a, b) => (a.name < b.name ? -1 : 1));
}
