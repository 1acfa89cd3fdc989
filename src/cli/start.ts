/** `kimi start`: the daemon in this process; on a terminal, with a conversation right there. */
import { join } from 'node:path';
import pino from 'pino';
import { homePath } from '../config/home.ts';
import { startDaemon } from '../daemon/main.ts';
import { describeStatus } from '../daemon/report.ts';
import { version } from '../version.ts';
import { converse } from './chat.ts';
import { connectDaemon } from './client.ts';

/** Once the daemon has ended, so long after the process does too, whatever it still holds open. */
const LONGEST_EXIT_MS = 300;

export async function run(): Promise<number> {
  const interactive = process.stdin.isTTY && process.stdout.isTTY;
  // A conversation on this terminal leaves no room for a log; a service manager collects it from stderr.
  const logTo = pino.destination(
    interactive
      ? { dest: join(homePath(), 'kimi.log'), mkdir: true, mode: 0o600, sync: true }
      : { dest: 2, sync: true },
  );
  const daemon = await startDaemon({ logTo });
  // What nobody caught is a defect of ours. One promise's is logged; after an exception nothing can be relied upon,
  // so the daemon ends in good order and its service starts it anew.
  process.on('unhandledRejection', (reason) =>
    daemon.log.error({ err: reason }, 'nobody caught this; please report it'),
  );
  process.on('uncaughtException', (error) => {
    daemon.log.fatal({ err: error }, 'nobody caught this; please report it');
    process.exitCode = 1;
    void daemon.stop();
  });
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
    process.on(signal, () => void daemon.stop());
  }

  const report = await daemon.status();
  console.log(`Kimi ${version()} is ready.\n`);
  for (const line of describeStatus(report)) console.log(`  ${line}`);
  console.log('');
  if (interactive) {
    const client = await connectDaemon(daemon.home);
    if (client) await converse(client);
    await daemon.stop();
  } else {
    console.log(
      'Talk to it from another terminal: npx kimi chat (in this folder; `npm link` puts `kimi` on your PATH)',
    );
    await daemon.stopped;
  }
  const status = Number(process.exitCode ?? 0);
  setTimeout(() => process.exit(status), LONGEST_EXIT_MS).unref();
  return status;
}
