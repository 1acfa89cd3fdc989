/** The channels there are. A new platform is one file in this folder and one entry here. */
import type { Config } from '../config.ts';
import type { Adapter } from './adapter.ts';

export interface Channel {
  readonly name: string;
  /** Why it is off under this configuration, with what to do; undefined when it is on. */
  off(config: Config): string | undefined;
  /** What of the configuration it depends on: when that changes, it is started anew. */
  settings(config: Config): unknown;
  /** Loads the platform's library and makes the adapter. Called only where it is on. */
  create(config: Config): Promise<Adapter>;
}

export const channels: readonly Channel[] = [
  {
    name: 'telegram',
    off: ({ channels }) =>
      channels.telegram.token ? undefined : 'no token: make a bot with @BotFather and set TELEGRAM_BOT_TOKEN',
    settings: ({ channels }) => channels.telegram,
    async create({ channels }) {
      const { createTelegram } = await import('./telegram.ts');
      return createTelegram({ token: channels.telegram.token ?? '', apiRoot: channels.telegram.apiRoot });
    },
  },
  {
    name: 'slack',
    off: ({ channels: { slack } }) =>
      slack.botToken && slack.appToken
        ? undefined
        : 'no tokens: make an app as docs/slack.md says, and set SLACK_BOT_TOKEN and SLACK_APP_TOKEN',
    settings: ({ channels }) => channels.slack,
    async create({ channels: { slack } }) {
      const { createSlack } = await import('./slack.ts');
      return createSlack({
        botToken: slack.botToken ?? '',
        appToken: slack.appToken ?? '',
        apiUrl: slack.apiUrl,
      });
    },
  },
  {
    name: 'discord',
    off: ({ channels }) =>
      channels.discord.token
        ? undefined
        : 'no token: make a bot at https://discord.com/developers/applications (docs/discord.md) and set DISCORD_TOKEN',
    settings: ({ channels }) => channels.discord,
    async create({ channels }) {
      const { createDiscord } = await import('./discord.ts');
      return createDiscord({ token: channels.discord.token ?? '', apiUrl: channels.discord.apiUrl });
    },
  },
];
