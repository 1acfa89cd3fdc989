/** Starts the channels that the configuration names, and starts anew those whose settings change. */
import type { Adapter, AdapterContext, ChannelHealth, Receive } from '../adapters/adapter.ts';
import type { Channel } from '../adapters/index.ts';
import type { Config } from '../config.ts';
import { asKimiError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { Delivery } from './outbox.ts';

export type ChannelReport = { name: string } & ({ on: false; why: string } | ({ on: true } & ChannelHealth));

export interface Channels {
  /** The channel's adapter, connected or not; undefined where the channel is off. */
  adapter(name: string): Adapter | undefined;
  /** Adds a channel that needs no configuration. */
  add(adapter: Adapter): Promise<void>;
  /** Brings what runs in line with a configuration. */
  apply(config: Config): Promise<void>;
  report(): ChannelReport[];
  stop(): Promise<void>;
}

export interface ChannelsOptions {
  definitions: readonly Channel[];
  receive: Receive;
  delivery: Delivery;
  commands: AdapterContext['commands'];
  /** What a channel must know again after a restart. */
  state(channel: string): NonNullable<AdapterContext['state']>;
  log: Log;
  /** A channel is there: what waits in its conversations can be answered. */
  onAttached(name: string): void;
}

export function createChannels(options: ChannelsOptions): Channels {
  const { definitions, receive, delivery, commands, log } = options;
  const running = new Map<string, { adapter: Adapter; settings: string }>();
  const off = new Map<string, string>();
  let applying: Promise<void> = Promise.resolve();

  async function start(adapter: Adapter, settings: string): Promise<void> {
    await adapter.start(receive, { log, commands, state: options.state(adapter.name) });
    running.set(adapter.name, { adapter, settings });
    off.delete(adapter.name);
    delivery.attach(adapter);
    options.onAttached(adapter.name);
  }

  async function stop(name: string): Promise<void> {
    const channel = running.get(name);
    running.delete(name);
    delivery.detach(name);
    // One that does not stop as it should keeps no other from starting, and the daemon not from ending.
    await channel?.adapter.stop().catch((error: unknown) => {
      log.error({ err: error, channel: name }, 'a channel could not stop in good order');
    });
  }

  async function applyOne(definition: Channel, config: Config): Promise<void> {
    const { name } = definition;
    const why = definition.off(config);
    const settings = JSON.stringify(definition.settings(config));
    if (why === undefined && running.get(name)?.settings === settings) return;
    await stop(name);
    if (why !== undefined) {
      off.set(name, why);
      return;
    }
    try {
      await start(await definition.create(config), settings);
    } catch (error) {
      off.set(name, `could not start: ${asKimiError(error).message}`);
      log.error({ err: error, channel: name }, 'a channel could not start');
    }
  }

  return {
    adapter: (name) => running.get(name)?.adapter,
    add: (adapter) => start(adapter, ''),
    apply(config) {
      // One after the other: two changes in quick succession must not start a channel twice.
      applying = applying.then(async () => {
        await Promise.all(definitions.map((definition) => applyOne(definition, config)));
      });
      return applying;
    },
    report: () => [
      ...[...running].map(([name, { adapter }]) => ({ name, on: true as const, ...adapter.health() })),
      ...[...off].map(([name, why]) => ({ name, on: false as const, why })),
    ],
    async stop() {
      await applying;
      await Promise.allSettled([...running.values()].map(({ adapter }) => adapter.stop()));
    },
  };
}
