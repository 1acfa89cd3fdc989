/** ${ENV} and file: values. */
import { readFileSync, statSync } from 'node:fs';
import { expandHome } from './home.ts';

export interface ValueContext {
  home: string;
  env: Readonly<Record<string, string | undefined>>;
}

/** What a text in the configuration stands for. */
export type ResolvedValue =
  /** `literal`: at least a part of it is written in the file itself. */
  | { kind: 'value'; text: string; source: 'literal' | 'environment' | 'file'; warning?: string }
  /** A variable that is unset, or empty, and has no default. */
  | { kind: 'absent'; variable: string }
  | { kind: 'problem'; text: string };

const VARIABLE = /\$(\$?)\{([^}]*)\}/g;
const VARIABLE_BODY = /^([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?$/s;

/** Resolves `${NAME}`, `${NAME:-default}`, `$${literal}` and `file:path`. Touches nothing else. */
export function resolveValue(written: string, context: ValueContext): ResolvedValue {
  const expanded = expandVariables(written, context.env);
  if (expanded.kind === 'value' && written.startsWith('file:')) {
    return readValueFile(expandHome(expanded.text.slice('file:'.length).trim(), context.home));
  }
  return expanded;
}

function expandVariables(written: string, env: ValueContext['env']): ResolvedValue {
  let absent: string | undefined;
  let malformed: string | undefined;
  let fromEnvironment = false;
  let fromDefault = false;
  const text = written.replace(VARIABLE, (whole: string, escaped: string, body: string) => {
    if (escaped) return whole.slice(1);
    const [, name, fallback] = VARIABLE_BODY.exec(body) ?? [];
    if (name === undefined) {
      malformed = whole;
      return whole;
    }
    const value = env[name];
    if (value) {
      fromEnvironment = true;
      return value;
    }
    if (fallback === undefined) absent ??= name;
    else fromDefault = true;
    return fallback ?? '';
  });
  if (malformed !== undefined) {
    return { kind: 'problem', text: `${malformed} names no variable; write \${NAME} or \${NAME:-default}` };
  }
  if (absent !== undefined) return { kind: 'absent', variable: absent };
  return { kind: 'value', text, source: fromEnvironment && !fromDefault ? 'environment' : 'literal' };
}

function readValueFile(path: string): ResolvedValue {
  try {
    const { mode } = statSync(path);
    const text = readFileSync(path, 'utf8').replace(/[\r\n]+$/, '');
    if (text === '') return { kind: 'problem', text: `the file ${path} is empty; write the value into it` };
    const warning =
      (mode & 0o077) !== 0 ? `${path} can be read by others; run: chmod 600 '${path}'` : undefined;
    return { kind: 'value', text, source: 'file', ...(warning && { warning }) };
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    const why =
      code === 'ENOENT' ? 'does not exist' : code === 'EACCES' ? 'cannot be read by this user' : String(code);
    return {
      kind: 'problem',
      text: `the file ${path} ${why}; write the value into it, or remove this key`,
    };
  }
}
