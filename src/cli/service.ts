/** kimi service install | uninstall | status: Kimi as a service of this user, by systemd or launchd. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { expandHome, homePath, prepareHome } from '../config/home.ts';
import { loadConfig } from '../config/load.ts';
import { KimiError } from '../errors.ts';
import { type Command, type ServiceManager, serviceManager } from './service/manager.ts';
import { PROGRAM, type ServiceValues } from './service/render.ts';

const USAGE = `Usage:
  kimi service install [--print]     Start Kimi now and whenever you log in
  kimi service uninstall [--print]   Stop it and remove the service
  kimi service status                What the service manager says of it
--print shows what would be written and run, and changes nothing.`;

/** Runs `kimi service`. Exit code 0, 1 when it does not work out, 2 when the command is not understood. */
export async function run(args: string[]): Promise<number> {
  const parsed = parse(args);
  if (!parsed) {
    console.error(USAGE);
    return 2;
  }
  const folder = resolve(dirname(fileURLToPath(import.meta.url)), '../..');
  const manager = serviceManager(folder);
  if (!manager) {
    console.error(`There is no service manager for ${process.platform} here. Run: kimi start`);
    return 1;
  }
  try {
    switch (parsed.command) {
      case 'install':
        return install(manager, folder, parsed.print);
      case 'uninstall':
        return uninstall(manager, parsed.print);
      case 'status':
        return execute(manager.status) ? 0 : 1;
    }
  } catch (error) {
    if (!(error instanceof KimiError)) throw error;
    console.error(error.message);
    return 1;
  }
}

function parse(args: string[]): { command: 'install' | 'uninstall' | 'status'; print: boolean } | undefined {
  try {
    const { values, positionals } = parseArgs({
      args,
      allowPositionals: true,
      options: { print: { type: 'boolean' } },
    });
    const [command, ...more] = positionals;
    const known = command === 'install' || command === 'uninstall' || command === 'status';
    return known && more.length === 0 ? { command, print: values.print ?? false } : undefined;
  } catch {
    return undefined;
  }
}

function install(manager: ServiceManager, folder: string, print: boolean): number {
  const home = print ? homePath() : prepareHome();
  const text = manager.render(collectValues(folder, home));
  if (print) {
    console.log(`# ${manager.file}\n${text}\n# then`);
    for (const command of manager.enable) console.log(show(command));
    return 0;
  }
  if (!existsSync(join(folder, PROGRAM))) {
    console.error(`${join(folder, PROGRAM)} does not exist. Run: npm run build`);
    return 1;
  }
  // Where an older version runs, it ends first: launchd does not replace a service that is loaded.
  if (existsSync(manager.file)) for (const command of manager.disable) execute(command, 'quietly');
  mkdirSync(dirname(manager.file), { recursive: true });
  writeFileSync(manager.file, text, { mode: 0o600 });
  console.log(`Written: ${manager.file}`);
  if (!executeAll(manager.enable)) return 1;
  console.log('The service is on. Run this command again after changing Node, KIMI_HOME or this folder.');
  for (const hint of manager.hints(home)) console.log(hint);
  return 0;
}

function uninstall(manager: ServiceManager, print: boolean): number {
  if (print) {
    for (const command of manager.disable) console.log(show(command));
    console.log(show(['rm', manager.file]));
    for (const command of manager.forget) console.log(show(command));
    return 0;
  }
  if (!existsSync(manager.file)) {
    console.log(`There is no service: ${manager.file} does not exist.`);
    return 0;
  }
  for (const command of manager.disable) execute(command, 'quietly');
  rmSync(manager.file);
  const done = executeAll(manager.forget);
  if (done) console.log(`Removed: ${manager.file}. Your data is still in ${homePath()}.`);
  return done ? 0 : 1;
}

function collectValues(folder: string, home: string): ServiceValues {
  return {
    node: process.execPath,
    folder,
    home,
    models: expandHome(loadConfig(home).config.models.providers.embedded.path, home),
    path: process.env.PATH ?? '/usr/local/bin:/usr/bin:/bin',
    userNamespaces: execute(['unshare', '--user', '--map-root-user', '--mount', 'true'], 'quietly'),
  };
}

/** Stops at the first that fails, and says what is left to run by hand. */
function executeAll(commands: readonly Command[]): boolean {
  const failed = commands.findIndex((command) => !execute(command));
  if (failed < 0) return true;
  console.error('That did not work. Once it does, run:');
  for (const command of commands.slice(failed)) console.error(`  ${show(command)}`);
  return false;
}

function execute([program, ...args]: Command, quietly?: 'quietly'): boolean {
  const { status, error } = spawnSync(program, args, { stdio: quietly ? 'ignore' : 'inherit' });
  if (error && !quietly) console.error(`${program}: ${error.message}`);
  return status === 0;
}

function show(command: Command): string {
  return command
    .map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`))
    .join(' ');
}
