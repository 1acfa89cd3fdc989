/** The contract of a check of `kimi doctor`. */
import type { Config } from '../../config.ts';

export interface CheckContext {
  home: string;
  config: Config;
}

export interface CheckResult {
  status: 'ok' | 'warn' | 'fail';
  /** What was found. */
  text: string;
  /** What to do about it: there for every `fail`, unless the text says it. */
  todo?: string;
}

export interface Finding extends CheckResult {
  name: string;
}

/** Looks at one thing and changes nothing. Needs no daemon, takes seconds at most, and never shows a secret. */
export type Check = (context: CheckContext) => CheckResult | Promise<CheckResult>;
