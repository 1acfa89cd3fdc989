/** The built daemon as a process of its own, to be talked to and killed. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';

export const KIMI = fileURLToPath(new URL('../../dist/cli/kimi.js', import.meta.url));

export interface DaemonProcess {
  readonly child: ChildProcess;
  /** All that it wrote so far. */
  stdout(): string;
  stderr(): string;
  /** Resolves when it takes messages; rejects when it ended before. */
  ready: Promise<void>;
  /** Resolves with the exit status, or the signal that ended it. */
  exited: Promise<number | NodeJS.Signals>;
  /** Sends a signal and waits for the end. */
  end(signal: NodeJS.Signals): Promise<number | NodeJS.Signals>;
}

/** Writes `config` to the home's config.yaml. */
export function configure(home: string, config: object): void {
  writeFileSync(join(home, 'config.yaml'), stringify(config), { mode: 0o600 });
}

export function startDaemonProcess(home: string, env: Record<string, string> = {}): DaemonProcess {
  const child = spawn(process.execPath, [KIMI, 'start'], {
    env: { ...process.env, KIMI_HOME: home, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    stdout += chunk;
  });
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    stderr += chunk;
  });
  const exited = once(child, 'exit').then(([code, signal]) => (signal ?? code) as number | NodeJS.Signals);
  const ready = new Promise<void>((resolve, reject) => {
    child.stdout.on('data', () => {
      if (stdout.includes('is ready')) resolve();
    });
    void exited.then((status) =>
      reject(new Error(`the daemon ended (${status}) before it was ready:\n${stdout}${stderr}`)),
    );
  });
  // Whoever kills it on purpose does not wait for it to be ready.
  ready.catch(() => {});
  return {
    child,
    stdout: () => stdout,
    stderr: () => stderr,
    ready,
    exited,
    async end(signal) {
      child.kill(signal);
      return exited;
    },
  };
}

/** Runs a `kimi` command to its end. */
export async function kimi(
  home: string,
  ...args: string[]
): Promise<{ status: number; stdout: string; stderr: string }> {
  const child = spawn(process.execPath, [KIMI, ...args], {
    env: { ...process.env, KIMI_HOME: home },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const output = { stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    output.stdout += chunk;
  });
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    output.stderr += chunk;
  });
  const [status] = (await once(child, 'close')) as [number];
  return { status, ...output };
}
