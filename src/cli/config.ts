/** kimi config check | schema */
import { expandHome, homePath } from '../config/home.ts';
import { type LoadedConfig, loadConfig } from '../config/load.ts';
import { configJsonSchema } from '../config.ts';
import { KimiError } from '../errors.ts';

const USAGE = `Usage:
  kimi config check    Check config.yaml and say what it turns on
  kimi config schema   Print its JSON Schema, for editors`;

/** Runs `kimi config`. Exit code 0, 1 when the configuration is not valid, 2 when the command is not understood. */
export async function run(args: string[]): Promise<number> {
  const [command, ...rest] = args;
  if (rest.length === 0 && command === 'schema') {
    console.log(JSON.stringify(configJsonSchema(), null, 2));
    return 0;
  }
  if (rest.length === 0 && command === 'check') return check(homePath());
  if (rest.length === 0 && (command === '--help' || command === 'help')) {
    console.log(USAGE);
    return 0;
  }
  console.error(USAGE);
  return 2;
}

function check(home: string): number {
  let loaded: LoadedConfig;
  try {
    loaded = loadConfig(home);
  } catch (error) {
    if (!(error instanceof KimiError)) throw error;
    console.error(error.message);
    return 1;
  }
  console.log(`${loaded.path}: ok`);
  for (const [name, what] of whatIsOn(loaded, home)) console.log(`  ${name.padEnd(9)} ${what}`);
  for (const note of loaded.notes) console.log(`note: ${note}`);
  for (const warning of loaded.warnings) console.error(`warning: ${warning}`);
  return 0;
}

function whatIsOn({ config }: LoadedConfig, home: string): [string, string][] {
  const { models, channels, access, log } = config;
  const { embedded, ollama } = models.providers;
  return [
    ['chat', [models.chat].flat().join(', then ')],
    ['embedding', models.embedding],
    ['ollama', ollama.baseUrl],
    ['embedded', `${expandHome(embedded.path, home)}, download: ${embedded.download}`],
    ['telegram', channels.telegram.token ? `on, by ${channels.telegram.apiRoot}` : 'off: it has no token'],
    ['slack', channels.slack.botToken ? `on, by ${channels.slack.apiUrl}` : 'off: it has no token'],
    ['discord', channels.discord.token ? `on, by ${channels.discord.apiUrl}` : 'off: it has no token'],
    ['access', `${access.policy}, ${access.allow.length} let in without pairing`],
    ['log', log.level],
  ];
}
