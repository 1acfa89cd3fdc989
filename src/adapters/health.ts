import type { ChannelHealth } from './adapter.ts';

/** Keeps what the channel says of itself. */
export interface HealthRecord {
  read(): ChannelHealth;
  /** Returns whether that is news: another state, or another error. */
  set(state: ChannelHealth['state'], lastError?: string): boolean;
  identify(identity: string): void;
  sawMessage(): void;
}

export function createHealth(): HealthRecord {
  let health: ChannelHealth = { state: 'stopped', since: Date.now() };
  return {
    read: () => ({ ...health }),
    set(state, lastError) {
      const news = health.state !== state || health.lastError !== lastError;
      const { lastError: _, ...rest } = health;
      health = {
        ...rest,
        state,
        since: health.state === state ? health.since : Date.now(),
        ...(lastError === undefined ? {} : { lastError }),
      };
      return news;
    },
    identify(identity) {
      health = { ...health, identity };
    },
    sawMessage() {
      health = { ...health, lastMessageAt: Date.now() };
    },
  };
}
