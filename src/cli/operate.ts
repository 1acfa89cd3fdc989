/** Runs a store operation: through the daemon where one runs, else in this process. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { homePath } from '../config/home.ts';
import { KimiError } from '../errors.ts';
import { ask } from './client.ts';

/** @throws KimiError as the operation does, or `not_found` when nothing has been stored yet. */
export async function operate<T>(method: string, params: Record<string, unknown> = {}): Promise<T> {
  const answer = await ask<T>(method, params);
  if (answer !== undefined) return answer;
  const path = join(homePath(), 'kimi.db');
  if (!existsSync(path)) {
    throw new KimiError(`There is nothing stored in ${homePath()} yet. Start Kimi first: \`kimi start\`.`, {
      code: 'not_found',
    });
  }
  const { openStore } = await import('../memory/store.ts');
  const { createStoreOperations } = await import('../daemon/operations.ts');
  const store = openStore(path);
  try {
    return (await createStoreOperations({ store })[method]?.(
      params,
      () => {},
      new AbortController().signal,
    )) as T;
  } finally {
    store.close();
  }
}
