/** Changes one value in config.yaml and leaves the rest as it is written. */
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseDocument } from 'yaml';
import { CONFIG_FILE } from './home.ts';
import { loadConfig } from './load.ts';

/**
 * Sets the value at `path`; returns the file's path.
 *
 * @throws KimiError `config_invalid` when the file is not valid before the change.
 */
export function setConfigValue(home: string, path: readonly string[], value: unknown): string {
  loadConfig(home);
  const file = join(home, CONFIG_FILE);
  const document = parseDocument(readFileSync(file, 'utf8'));
  document.setIn(path, value);
  const next = `${file}.new`;
  writeFileSync(next, document.toString(), { mode: 0o600 });
  renameSync(next, file);
  return file;
}
