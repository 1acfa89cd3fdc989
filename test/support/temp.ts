/** Temporary folders that are gone after the test file. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';

/** A new empty folder, mode 0700. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'kimi-test-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
