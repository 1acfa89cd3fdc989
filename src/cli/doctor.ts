/** kimi doctor: every check → one line each → exit code. Works with and without a running daemon. */
import { existsSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { homePath } from '../config/home.ts';
import { type LoadedConfig, loadConfig } from '../config/load.ts';
import { configSchema } from '../config.ts';
import { asKimiError, type KimiError } from '../errors.ts';
import { createRedactor } from '../redact.ts';
import { checkDiscord, checkSlack, checkTelegram } from './doctor/channels.ts';
import type { Check, Finding } from './doctor/check.ts';
import { checkDaemon } from './doctor/daemon.ts';
import { checkDatabase } from './doctor/database.ts';
import { checkDisk, checkHome, checkNode } from './doctor/machine.ts';
import { checkEmbedded, checkModel, checkOllama } from './doctor/models.ts';

/** In the order in which they are printed. A new check is one function and one line here. */
const CHECKS: readonly [name: string, check: Check][] = [
  ['node', checkNode],
  ['home', checkHome],
  ['disk', checkDisk],
  ['database', checkDatabase],
  ['ollama', checkOllama],
  ['embedded', checkEmbedded],
  ['model', checkModel],
  ['telegram', checkTelegram],
  ['slack', checkSlack],
  ['discord', checkDiscord],
  ['daemon', checkDaemon],
];

const LABELS = { ok: 'ok  ', warn: 'warn', fail: 'FAIL' };

/** Runs `kimi doctor [--json]`. Exit code 0, 1 when a check fails, 2 when the command is not understood. */
export async function run(args: string[]): Promise<number> {
  let json = false;
  try {
    json = parseArgs({ args, options: { json: { type: 'boolean' } } }).values.json ?? false;
  } catch {
    console.error('Usage: kimi doctor [--json]');
    return 2;
  }
  const findings = await diagnose(homePath());
  console.log(json ? JSON.stringify(findings, null, 2) : findings.map(asLine).join('\n'));
  return findings.some((finding) => finding.status === 'fail') ? 1 : 0;
}

function asLine({ status, name, text, todo }: Finding): string {
  return `${LABELS[status]}  ${name.padEnd(9)} ${text}${todo === undefined ? '' : `. ${todo}`}`;
}

/** Runs every check. A check that breaks is a finding too. No finding holds a secret. */
export async function diagnose(home: string): Promise<Finding[]> {
  const { loaded, error } = tryLoad(home);
  // Where the file is not valid, the rest is checked with the defaults: the other findings are still of use.
  const config = loaded?.config ?? configSchema.parse({});
  const redact = createRedactor(() => loaded?.secrets ?? []);
  const context = { home, config };
  const findings = await Promise.all(
    CHECKS.map(async ([name, check]): Promise<Finding> => {
      try {
        return { name, ...(await check(context)) };
      } catch (failure) {
        const text = `the check itself failed: ${asKimiError(failure).message}`;
        return { name, status: 'fail', text, todo: 'Please report this' };
      }
    }),
  );
  findings.splice(2, 0, ...describeConfig(loaded, error));
  return findings.map((finding) => ({
    ...finding,
    text: redact(finding.text),
    ...(finding.todo === undefined ? {} : { todo: redact(finding.todo) }),
  }));
}

function tryLoad(home: string): { loaded?: LoadedConfig; error?: KimiError } {
  try {
    return { loaded: loadConfig(home) };
  } catch (error) {
    return { error: asKimiError(error) };
  }
}

/** One for each problem, else for each warning, else one that all is well. */
function describeConfig(loaded: LoadedConfig | undefined, error: KimiError | undefined): Finding[] {
  const name = 'config';
  if (error) return error.message.split('\n').map((text) => ({ name, status: 'fail', text }));
  const warnings = loaded?.warnings ?? [];
  if (warnings.length > 0) return warnings.map((text) => ({ name, status: 'warn', text }));
  const path = loaded?.path ?? '';
  const text = existsSync(path) ? `${path} is valid` : `no ${path}: everything has its default`;
  return [{ name, status: 'ok', text }];
}
