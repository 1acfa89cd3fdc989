/** config.yaml → text → YAML with positions → secrets resolved → validated → frozen. */
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { z } from 'zod';
import { type Config, configSchema } from '../config.ts';
import { KimiError } from '../errors.ts';
import { type Problem, readYaml, type YamlDocument } from './document.ts';
import { configGuide, type Guide, type Path } from './guide.ts';
import { CONFIG_FILE } from './home.ts';
import { resolveValue, type ValueContext } from './values.ts';

export interface LoadedConfig {
  config: Config;
  /** Values that no log may hold. */
  secrets: string[];
  /** What the user should change, each with what to do. */
  warnings: string[];
  /** What the user may want to know: variables that are not set, so that their keys count as left out. */
  notes: string[];
  /** Of the file, whether or not it exists. */
  path: string;
}

/** No file is worth reading beyond this: it is not a configuration. */
const MAX_BYTES = 1 << 20;

/**
 * Reads KIMI_HOME/config.yaml; where there is none, everything has its default. Throws KimiError `config_invalid`
 * with a line for each problem: `file:line:column: key: what is wrong and what to write`.
 */
export function loadConfig(home: string, env: ValueContext['env'] = process.env): LoadedConfig {
  const path = join(home, CONFIG_FILE);
  const file = readSource(path);
  const guide = configGuide();
  const secrets = new Set<string>();
  const warnings: string[] = [];
  const notes: string[] = [];
  const problems: Problem[] = [];
  const absent: { path: Path; offset: number; variable: string }[] = [];
  let inTheClear = false;

  const document = readYaml(file.text, (written, keyPath, offset) => {
    const value = resolveValue(written, { home, env });
    if (value.kind === 'problem') {
      problems.push({ path: keyPath, offset, text: value.text });
      return undefined;
    }
    if (value.kind === 'absent') {
      absent.push({ path: keyPath, offset, variable: value.variable });
      return undefined;
    }
    if (guide.isSecret(keyPath)) {
      if (value.text !== '') secrets.add(value.text);
      if (value.warning !== undefined) warnings.push(value.warning);
      inTheClear ||= value.source === 'literal' && value.text !== '';
    }
    return value.source === 'literal' ? value.text : guide.coerce(keyPath, value.text);
  });

  const place = (offset: number, keyPath: Path): string => {
    const { line, column } = document.position(offset);
    return `${path}:${line}:${column}: ${keyPath.length > 0 ? `${showPath(keyPath)}: ` : ''}`;
  };
  problems.push(...document.problems);
  const parsed = configSchema.safeParse(document.value ?? {});
  if (!parsed.success) {
    problems.push(...parsed.error.issues.flatMap((issue) => explain(issue, document, guide)));
  }
  if (problems.length > 0 || !parsed.success) {
    problems.sort((a, b) => a.offset - b.offset);
    const lines = problems.map((problem) => place(problem.offset, problem.path) + problem.text);
    throw new KimiError(lines.join('\n'), { code: 'config_invalid' });
  }

  for (const { path: keyPath, offset, variable } of absent) {
    notes.push(`${place(offset, keyPath)}${variable} is not set, so this key counts as left out`);
  }
  if (inTheClear && (file.mode & 0o077) !== 0) {
    warnings.unshift(
      `${path} holds a secret in the clear and can be read by others; run: chmod 600 '${path}', or write \${NAME} or file:path instead of the secret`,
    );
  }
  return { config: deepFreeze(parsed.data), secrets: [...secrets], warnings, notes, path };
}

function readSource(path: string): { text: string; mode: number } {
  try {
    const { mode, size } = statSync(path);
    if (size > MAX_BYTES) {
      throw new KimiError(`${path}:1:1: is larger than 1 MiB; it should be a short YAML file`, {
        code: 'config_invalid',
      });
    }
    return { text: readFileSync(path, 'utf8'), mode };
  } catch (error) {
    if (error instanceof KimiError) throw error;
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'ENOENT') return { text: '', mode: 0 };
    const why =
      code === 'EISDIR'
        ? 'is a folder; move it away'
        : `cannot be read (${code}); make this user its owner and run: chmod 600 '${path}'`;
    throw new KimiError(`${path}:1:1: ${why}`, { code: 'config_invalid', cause: error });
  }
}

function explain(issue: z.core.$ZodIssue, document: YamlDocument, guide: Guide): Problem[] {
  const path = issue.path.filter((part) => typeof part !== 'symbol');
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => ({
      path: [...path, key],
      offset: document.keyAt([...path, key]),
      text: `unknown key; ${guide.suggest(path, key)}`,
    }));
  }
  const written = document.written(path);
  const shown = written === undefined || guide.isSecret(path) ? '' : `, but is ${shorten(written)}`;
  return [{ path, offset: document.valueAt(path), text: `must be ${guide.expected(path)}${shown}` }];
}

function shorten(written: string): string {
  return JSON.stringify(written.length > 60 ? `${written.slice(0, 57)}...` : written);
}

function showPath(path: Path): string {
  return path
    .map((part) => (typeof part === 'number' ? `[${part}]` : `.${part}`))
    .join('')
    .replace(/^\./, '');
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null)
    for (const inner of Object.values(value)) deepFreeze(inner);
  return Object.freeze(value);
}
