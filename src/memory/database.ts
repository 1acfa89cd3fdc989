/** Opens the one SQLite file: pragmas → migrations, each preceded by a copy of the file. */
import { existsSync, rmSync } from 'node:fs';
import Sqlite from 'better-sqlite3';
import { KimiError } from '../errors.ts';
import { migrations as known, type Migration } from './migrations.ts';

export type Database = Sqlite.Database;

/**
 * Opens the database at `path`, making it where it is absent, and brings its schema up to date.
 *
 * Before the first change to a database that holds anything, a copy is saved beside it as
 * `<path>.before-<migration>`.
 *
 * @throws KimiError `schema_too_new` when the file was written by a newer program, `database_corrupt` when it is
 * no database or is damaged.
 */
export function openDatabase(path: string, migrations: readonly Migration[] = known): Database {
  try {
    const database = new Sqlite(path, { timeout: 5_000 });
    try {
      database.pragma('journal_mode = WAL');
      database.pragma('synchronous = FULL');
      database.pragma('foreign_keys = ON');
      database.pragma('secure_delete = ON');
      migrate(database, path, migrations);
      return database;
    } catch (error) {
      database.close();
      throw error;
    }
  } catch (error) {
    if (error instanceof Sqlite.SqliteError && /^SQLITE_(CORRUPT|NOTADB)/.test(error.code)) {
      throw new KimiError(
        `The database ${path} is damaged (${error.message}). Move it aside, put a copy back (${path}.before-*, or your own backup), and start again.`,
        { code: 'database_corrupt', cause: error },
      );
    }
    throw error;
  }
}

function migrate(database: Database, path: string, migrations: readonly Migration[]): void {
  database.exec(
    'CREATE TABLE IF NOT EXISTS migrations (name TEXT PRIMARY KEY, applied_at INTEGER NOT NULL) STRICT',
  );
  const applied = new Set(database.prepare<[], string>('SELECT name FROM migrations').pluck().all());
  const names = new Set(migrations.map((migration) => migration.name));
  const newer = [...applied].filter((name) => !names.has(name));
  if (newer.length > 0) {
    throw new KimiError(
      `The database ${path} was written by a newer Kimi (it knows ${newer.join(', ')}). Update Kimi, or point KIMI_HOME to another folder.`,
      { code: 'schema_too_new' },
    );
  }
  const record = database.prepare('INSERT INTO migrations (name, applied_at) VALUES (?, ?)');
  for (const migration of migrations) {
    if (applied.has(migration.name)) continue;
    if (applied.size > 0) saveCopy(database, `${path}.before-${migration.name}`);
    database.transaction(() => {
      database.exec(migration.sql);
      record.run(migration.name, Date.now());
    })();
  }
}

function saveCopy(database: Database, copy: string): void {
  if (existsSync(copy)) rmSync(copy);
  database.prepare('VACUUM INTO ?').run(copy);
}
