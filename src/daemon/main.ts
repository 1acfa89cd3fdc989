/** The composition root: everything is made here, in this order, and nowhere else. */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { DestinationStream } from 'pino';
import { channels as definitions } from '../adapters/index.ts';
import { createTerminal } from '../adapters/terminal.ts';
import { prepareHome } from '../config/home.ts';
import { createConfigStore } from '../config/store.ts';
import { createLog, type Log } from '../log.ts';
import { openStore } from '../memory/store.ts';
import { createAccountSkill } from '../skills/account.ts';
import { createChatSkill } from '../skills/chat.ts';
import { createCommands } from '../skills/commands.ts';
import type { Skill } from '../skills/skill.ts';
import { createAccess } from './access.ts';
import { createAsks } from './asks.ts';
import { createAttachmentStore } from './attachments.ts';
import { createChannels } from './channels.ts';
import { startControl } from './control.ts';
import { createDispatcher } from './dispatcher.ts';
import { reportHealth, type StatusReport } from './health.ts';
import { lockHome } from './lock.ts';
import { assembleModels } from './models.ts';
import { createDaemonOperations, createStoreOperations } from './operations.ts';
import { createDelivery } from './outbox.ts';
import { describeStatus } from './report.ts';
import { createRouter } from './router.ts';
import { createSessions } from './session.ts';

/** Running turns may go on for so long when the daemon is asked to end; 10 s is what service managers are told. */
const DRAIN_MS = 8_000;
const FLUSH_MS = 1_000;
/** A send or a platform that does not end in time is not waited for: what is on disk is taken up again. */
const LONGEST_STOP_MS = 9_500;
const PRUNE_EVERY_MS = 6 * 3_600_000;

export interface Daemon {
  home: string;
  log: Log;
  status(): Promise<StatusReport>;
  /** Drains and ends, within ten seconds whatever still runs. Never rejects; safe to call twice. */
  stop(): Promise<void>;
  /** Resolves when the daemon has ended, whoever asked for it. */
  stopped: Promise<void>;
}

/**
 * Starts the daemon. Resolves when it takes messages; models and platforms may still be on their way.
 *
 * @throws KimiError `config_invalid`, `home_unusable`, `already_running`, `schema_too_new`, `database_corrupt`.
 */
export async function startDaemon(options: { logTo: DestinationStream }): Promise<Daemon> {
  const startedAt = Date.now();
  // What is written from here on is its owner's alone.
  process.umask(0o077);

  // 1. The home and its configuration.
  const home = prepareHome();
  const config = createConfigStore(home);
  const log = createLog({
    level: config.current().log.level,
    secrets: config.secrets,
    destination: options.logTo,
  });
  config.useLog(log);

  // 2. What is stored. The lock comes first: two daemons on one ledger would answer twice.
  const lock = lockHome(home);
  const store = openStore(join(home, 'kimi.db'));
  store.recover();

  // 3. Models. Nothing is loaded or asked yet.
  const models = assembleModels({ config: config.current, home, log });

  // 4. The way of a message: router → session → dispatcher → skill → delivery.
  const delivery = createDelivery({ store, log });
  const asks = createAsks({ store, onQueued: delivery.kick });
  const attachments = createAttachmentStore(
    join(home, 'attachments'),
    () => config.current().channels.maxFileMegabytes * 1e6,
  );
  const chat = createChatSkill({
    chat: models.chat,
    conversations: store.conversations,
    config: config.current,
  });
  const commands = createCommands({
    assistantName: () => config.current().assistant.name,
    conversations: store.conversations,
    models,
    stop: (conversation) => sessions.stop(conversation),
    status: async () =>
      describeStatus(await status())
        .map((line) => `    ${line}`)
        .join('\n'),
    all: () => dispatcher.commands(),
  });
  const account = createAccountSkill({
    store,
    home,
    stop: (conversation) => sessions.stop(conversation),
    removeFiles: attachments.remove,
  });
  const skills: Skill[] = [commands, account, chat];
  const dispatcher = createDispatcher({
    skills,
    fallback: chat,
    store,
    delivery,
    asks,
    attachments,
    reactions: () => config.current().channels.reactions,
    adapter: (channel) => channels.adapter(channel),
    log,
  });
  const sessions = createSessions({
    store,
    log,
    ready: (conversation) => channels.adapter(conversation.split('/')[0] ?? '') !== undefined,
    run: dispatcher.run,
  });
  const receive = createRouter({
    store,
    access: createAccess({
      config: config.current,
      people: store.people,
      conversations: store.conversations,
    }),
    asks,
    log,
    command: dispatcher.command,
    onReceived: sessions.kick,
    onQueued: delivery.kick,
  });
  const channels = createChannels({
    definitions,
    receive,
    delivery,
    commands: dispatcher.commands(),
    state: store.adapterState,
    log,
    onAttached(name) {
      for (const { conversation, lane } of store.inbox.open()) {
        if (conversation.startsWith(`${name}/`)) sessions.kick(conversation, lane);
      }
    },
  });
  const terminal = createTerminal(() => delivery.attach(terminal));
  const status = () => reportHealth({ home, config, channels, models, store, sessions, startedAt });

  // 5. The socket, then the platforms: what they bring is answered from here on.
  const control = await startControl(
    home,
    {
      ...createStoreOperations({ store, onReceived: sessions.kick, onQueued: delivery.kick }),
      ...createDaemonOperations({ status, terminal, models, stop: () => void stop() }),
    },
    log,
  );
  await channels.add(terminal);
  await channels.apply(config.current());
  models.start();
  config.watch((current, changed) => {
    log.level = current.log.level;
    if (changed.some((path) => path.startsWith('models'))) models.changed();
    void channels.apply(current);
  });
  const prune = () => {
    store.prune(Date.now());
    attachments
      .prune(Date.now())
      .catch((error: unknown) => log.warn({ err: error }, 'old files could not be deleted'));
  };
  const pruning = setInterval(prune, PRUNE_EVERY_MS);
  prune();
  log.info({ ms: Date.now() - startedAt }, 'ready');

  // 6. The end, in the opposite order.
  let ended: () => void;
  const stopped = new Promise<void>((resolve) => {
    ended = resolve;
  });
  let stopping: Promise<void> | undefined;
  const endAll = async () => {
    log.info({ turns: sessions.running() }, 'stopping');
    clearInterval(pruning);
    config.close();
    await sessions.drain(DRAIN_MS);
    await delivery.close(FLUSH_MS);
    await channels.stop();
    await models.close();
    await control.close();
    store.close();
    lock.release();
    log.info('stopped');
  };
  const stop = () => {
    stopping ??= Promise.race([
      endAll().catch((error: unknown) => log.error({ err: error }, 'could not end in good order')),
      sleep(LONGEST_STOP_MS, undefined, { ref: false }).then(() => log.warn('not all ended in time')),
    ]).then(ended);
    return stopping;
  };
  return { home, log, status, stop, stopped };
}
