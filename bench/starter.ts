/** The starter model on the embedded engine, as the daemon runs it: in a process of its own. */
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { LanguageModelV3Prompt } from '@ai-sdk/provider';
import { pino } from 'pino';
import { configSchema } from '../src/config.ts';
import { createEmbeddedProvider } from '../src/models/embedded/provider.ts';
import type { ChatModel } from '../src/models/model.ts';
import { realChatModel } from '../test/support/models.ts';
import { residentBytes } from './resident.ts';
import { megabytes, ms, type Row } from './table.ts';

interface Answer {
  firstTokenMs: number;
  totalMs: number;
  inputTokens: number;
  outputTokens: number;
}

async function ask(model: ChatModel, texts: string[], maxOutputTokens: number): Promise<Answer> {
  const prompt: LanguageModelV3Prompt = texts.map((text, index) => ({
    role: index % 2 === 0 ? 'user' : 'assistant',
    content: [{ type: 'text', text }],
  }));
  const began = performance.now();
  let firstTokenMs = Number.NaN;
  let usage = { input: 0, output: 0 };
  const { stream } = await model.language.doStream({ prompt, maxOutputTokens, temperature: 0 });
  for await (const part of stream) {
    if (part.type === 'text-delta' && Number.isNaN(firstTokenMs)) firstTokenMs = performance.now() - began;
    if (part.type === 'finish') {
      usage = { input: part.usage.inputTokens.total ?? 0, output: part.usage.outputTokens.total ?? 0 };
    }
  }
  return {
    firstTokenMs,
    totalMs: performance.now() - began,
    inputTokens: usage.input,
    outputTokens: usage.output,
  };
}

/** Empty where no starter is on this machine. */
export async function starterRows(): Promise<Row[]> {
  const file = realChatModel;
  if (file === undefined) return [{ what: 'no starter model here (see KIMI_TEST_MODELS)', figure: '' }];
  const folder = mkdtempSync(join(tmpdir(), 'kimi-bench-models-'));
  symlinkSync(file, join(folder, 'SmolLM2-135M-Instruct.Q4_1.gguf'));
  const settings = { ...configSchema.parse({}).models.providers.embedded, path: folder };
  let hostPid = 0;
  const log = pino(
    { level: 'info' },
    {
      write(line: string) {
        const { pid } = JSON.parse(line) as { pid?: number };
        if (pid !== undefined) hostPid = pid;
      },
    },
  );
  const provider = createEmbeddedProvider({ settings: () => settings, home: folder, log });
  try {
    const model = await provider.chat('SmolLM2-135M-Instruct.Q4_1');
    const cold = await ask(model, ['Say hello.'], 8);
    const story =
      'The old lighthouse keeper wrote down the weather, the ships and the birds, every day. '.repeat(40);
    const read = await ask(model, [`${story}\n\nWhat did the keeper write down?`], 1);
    const written = await ask(model, ['Write a long story about a lighthouse.'], 200);
    const warm = await ask(
      model,
      [`${story}\n\nWhat did the keeper write down?`, 'The weather.', 'And what else?'],
      8,
    );
    const writing = (written.totalMs - written.firstTokenMs) / 1_000;
    return [
      { what: 'start of its process, load, and first token', figure: ms(cold.firstTokenMs) },
      {
        what: `tokens read (${read.inputTokens})`,
        figure: `${Math.round(read.inputTokens / (read.firstTokenMs / 1_000))}/s`,
      },
      {
        what: `tokens written (${written.outputTokens})`,
        figure: `${Math.round(written.outputTokens / writing)}/s`,
      },
      { what: `first token on a warm prefix of ${warm.inputTokens} tokens`, figure: ms(warm.firstTokenMs) },
      { what: 'RSS of its process', figure: hostPid ? megabytes(residentBytes(hostPid)) : '?' },
    ];
  } finally {
    await provider.close();
    rmSync(folder, { recursive: true, force: true });
  }
}
