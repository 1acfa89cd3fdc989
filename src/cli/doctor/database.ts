/** kimi.db: opens read-only and asks SQLite for a quick check. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Check } from './check.ts';

export const checkDatabase: Check = async ({ home }) => {
  const path = join(home, 'kimi.db');
  if (!existsSync(path)) return { status: 'ok', text: 'no database yet: the first start makes it' };
  const todo = `Stop the daemon, keep a copy of ${home}, and put back the newest good copy of kimi.db`;
  try {
    const { default: Database } = await import('better-sqlite3');
    const database = new Database(path, { readonly: true, fileMustExist: true, timeout: 5_000 });
    try {
      const problems = database.pragma('quick_check(3)') as { quick_check: string }[];
      const found = problems.map((row) => row.quick_check).join('; ');
      if (found === 'ok') return { status: 'ok', text: `${path} is sound` };
      return { status: 'fail', text: `${path} is damaged: ${found}`, todo };
    } finally {
      database.close();
    }
  } catch (error) {
    const { code, message } = error as { code?: string; message: string };
    if (code === 'SQLITE_CANTOPEN' || code === 'SQLITE_BUSY') {
      return { status: 'fail', text: `${path} cannot be opened (${code})`, todo: `Run: chmod 600 '${path}'` };
    }
    if (code?.startsWith('SQLITE_')) {
      return { status: 'fail', text: `${path} is damaged (${code}: ${message})`, todo };
    }
    return { status: 'fail', text: `SQLite does not load: ${message.split('\n')[0]}`, todo: 'Run: npm ci' };
  }
};
