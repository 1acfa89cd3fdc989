/** Where model files are kept. */
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';

/** KIMI_HOME by its default name: in a configured path it stands for KIMI_HOME wherever that is. */
const DEFAULT_HOME = '~/.kimi';

/** Resolves the configured models folder: `~/.kimi/…` lies in `home`, `~/…` in the user's own folder. */
export function modelsFolder(configured: string, home: string): string {
  if (configured === DEFAULT_HOME || configured.startsWith(`${DEFAULT_HOME}/`)) {
    return join(home, configured.slice(DEFAULT_HOME.length));
  }
  if (configured === '~' || configured.startsWith('~/')) return join(homedir(), configured.slice(1));
  return resolve(home, configured);
}
