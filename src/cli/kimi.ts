#!/usr/bin/env node
/** `kimi`: which command? → its file. Loads nothing that the command does not need. */
import { readFileSync } from 'node:fs';

/** Runs a command with the arguments after its name; returns the exit status. */
type Command = { run(args: string[]): Promise<number> };

const commands: Record<string, { about: string; load(): Promise<Command> }> = {
  start: { about: 'Start the daemon in this terminal', load: () => import('./start.ts') },
  stop: { about: 'End the running daemon', load: () => import('./stop.ts') },
  chat: { about: 'Talk to it: kimi chat ["question"]', load: () => import('./chat.ts') },
  status: { about: 'How it is: kimi status [--json]', load: () => import('./status.ts') },
  doctor: {
    about: 'Check the installation; each failing line says what to do',
    load: () => import('./doctor.ts'),
  },
  pair: { about: 'Who waits to be let in; kimi pair approve CODE', load: () => import('./pair.ts') },
  models: { about: 'kimi models list | pull NAME | use NAME', load: () => import('./models.ts') },
  config: { about: 'kimi config check | schema', load: () => import('./config.ts') },
  trace: { about: 'The life of one message: kimi trace MESSAGE-ID', load: () => import('./trace.ts') },
  dead: {
    about: 'What could not be answered or delivered; kimi dead retry inbox|outbox ID',
    load: () => import('./dead.ts'),
  },
  service: {
    about: 'Run it always: kimi service install | uninstall | status',
    load: () => import('./service.ts'),
  },
};

const [name, ...args] = process.argv.slice(2);

if (name === '--version' || name === '-v') {
  console.log(version());
} else if (name === undefined || name === 'help' || name === '--help' || name === '-h') {
  console.log(usage());
} else {
  process.exitCode = await runCommand(name, args);
}

async function runCommand(name: string, args: string[]): Promise<number> {
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (!command) {
    console.error(`There is no command "${name}".\n\n${usage()}`);
    return 2;
  }
  try {
    return await (await command.load()).run(args);
  } catch (error) {
    console.error(error instanceof Error && error.name === 'KimiError' ? error.message : error);
    return 1;
  }
}

function usage(): string {
  const lines = Object.entries(commands).map(([name, { about }]) => `  kimi ${name.padEnd(8)} ${about}`);
  return ['Kimi, the assistant on your own machine.', '', ...lines, '  kimi --version'].join('\n');
}

function version(): string {
  const file = new URL('../../package.json', import.meta.url);
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}
