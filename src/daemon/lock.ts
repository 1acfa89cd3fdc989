/** One daemon a home: a lock that the system takes back when the process ends, however it ends. */
import { join } from 'node:path';
import Sqlite from 'better-sqlite3';
import { KimiError } from '../errors.ts';

/**
 * Locks the home until {@link release} or the end of the process.
 *
 * @throws KimiError `already_running` when another process holds it.
 */
export function lockHome(home: string): { release(): void } {
  // An open exclusive transaction is a file lock that needs no native module besides the one we have.
  const database = new Sqlite(join(home, 'kimi.lock'), { timeout: 0 });
  try {
    database.exec('BEGIN EXCLUSIVE');
  } catch (error) {
    database.close();
    if (error instanceof Sqlite.SqliteError && error.code === 'SQLITE_BUSY') {
      throw new KimiError(
        `Kimi is running already with this home (${home}). \`kimi status\` tells more, \`kimi stop\` ends it.`,
        {
          code: 'already_running',
          cause: error,
        },
      );
    }
    throw error;
  }
  return { release: () => void database.close() };
}
