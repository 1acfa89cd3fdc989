/** How the daemon is: for `kimi status`, /status and the lines at the start. */
import type { ConfigStore } from '../config/store.ts';
import type { Store } from '../memory/store.ts';
import type { ModelStatus, Models } from '../models/registry.ts';
import { version } from '../version.ts';
import type { ChannelReport, Channels } from './channels.ts';
import type { Sessions } from './session.ts';

/** `kimi status --json`. */
export interface StatusReport {
  version: string;
  pid: number;
  startedAt: number;
  home: string;
  rssBytes: number;
  config: { path: string; warnings: readonly string[]; error?: string };
  channels: readonly ChannelReport[];
  model: ModelStatus;
  memory: { conversations: number; messages: number };
  inbox: Record<string, number>;
  outbox: Record<string, number>;
  running: number;
}

export interface HealthOptions {
  home: string;
  config: ConfigStore;
  channels: Channels;
  models: Models;
  store: Store;
  sessions: Sessions;
  startedAt: number;
}

export async function reportHealth(options: HealthOptions): Promise<StatusReport> {
  const { home, config, channels, models, store, sessions, startedAt } = options;
  const error = config.error();
  return {
    version: version(),
    pid: process.pid,
    startedAt,
    home,
    rssBytes: process.memoryUsage.rss(),
    config: { path: config.path, warnings: config.warnings(), ...(error && { error: error.message }) },
    channels: channels.report(),
    model: await models.status(),
    memory: store.conversations.counts(),
    inbox: store.inbox.counts(),
    outbox: store.outbox.counts(),
    running: sessions.running(),
  };
}
