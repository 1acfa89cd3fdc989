/** `kimi models`: which there are, getting one, choosing one. */
import type { ModelInfo, Progress } from '../models/model.ts';
import { connectDaemon } from './client.ts';

export async function run([action = 'list', name]: string[]): Promise<number> {
  if (action === 'list') return list();
  if (action === 'pull' && name) return pull(name);
  if (action === 'use' && name) return use(name);
  console.error(
    'Use: kimi models list | pull NAME | use NAME\n(pull recommended picks one that suits this machine; use auto goes back)',
  );
  return 2;
}

interface Source {
  list(): Promise<ModelInfo[]>;
  pull(name: string, onProgress: (progress: Progress) => void): Promise<ModelInfo>;
  close(): Promise<void>;
}

/** The models of the running daemon, or of this process where none runs. */
async function openModels(): Promise<Source> {
  const client = await connectDaemon();
  if (client) {
    return {
      list: () => client.call('models.list'),
      pull: (name, onProgress) =>
        client.call('models.pull', { name }, (event) => onProgress(event as Progress)),
      close: async () => client.close(),
    };
  }
  const { prepareHome } = await import('../config/home.ts');
  const { loadConfig } = await import('../config/load.ts');
  const { assembleModels } = await import('../daemon/models.ts');
  const { pino } = await import('pino');
  const home = prepareHome();
  const { config } = loadConfig(home);
  const models = assembleModels({ config: () => config, home, log: pino({ level: 'silent' }) });
  const stop = new AbortController();
  process.once('SIGINT', () => stop.abort());
  return {
    list: () => models.list(),
    pull: (name, onProgress) => models.pull(name, onProgress, stop.signal),
    close: () => models.close(),
  };
}

async function list(): Promise<number> {
  const source = await openModels();
  try {
    const models = await source.list();
    if (models.length === 0) console.log('There are none. Get one: kimi models pull recommended');
    const width = Math.max(0, ...models.map(({ ref }) => ref.length));
    for (const { ref, bytes, can } of models) {
      const size = (bytes ? `${(bytes / 1e9).toFixed(1)} GB` : '').padStart(9);
      const abilities = Object.entries(can)
        .filter(([, able]) => able)
        .map(([ability]) => ability);
      console.log(`${ref.padEnd(width)} ${size}  ${abilities.join(', ')}`);
    }
    return 0;
  } finally {
    await source.close();
  }
}

async function pull(name: string): Promise<number> {
  const source = await openModels();
  let last = '';
  try {
    const model = await source.pull(name, (progress) => {
      const line = describeProgress(progress);
      if (line === last) return;
      last = line;
      if (process.stdout.isTTY) process.stdout.write(`\r\u001b[K${line}`);
    });
    console.log(`${process.stdout.isTTY && last ? '\n' : ''}${model.ref} is there.`);
    return 0;
  } finally {
    await source.close();
  }
}

function describeProgress({ what, done, total }: Progress): string {
  if (!total) return `${what}: ${(done / 1e6).toFixed(0)} MB`;
  const part = Math.min(1, done / total);
  const bar = '█'.repeat(Math.round(part * 30)).padEnd(30, '░');
  return `${bar} ${Math.floor(part * 100)} % of ${(total / 1e9).toFixed(2)} GB  ${what}`;
}

/** Writes the choice into config.yaml, where the daemon sees it. Keeps what else is there, comments included. */
async function use(name: string): Promise<number> {
  const { prepareHome } = await import('../config/home.ts');
  const { setConfigValue } = await import('../config/edit.ts');
  const path = setConfigValue(prepareHome(), ['models', 'chat'], name);
  console.log(`${path} now says models.chat: ${name}. A running Kimi takes it over by itself.`);
  return 0;
}
