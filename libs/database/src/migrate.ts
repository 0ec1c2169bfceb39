// Brings a database up to date from numbered SQL files. Each file runs once, in order, in a transaction; concurrent
// starts wait for each other. A crash leaves the last finished file.
import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { Kysely, Migrator, PostgresDialect, sql, type Migration } from 'kysely';
import { Pool } from 'pg';

/** One set of migrations: a folder of `001_name.sql` files, remembered under `name`. */
export interface MigrationSet {
  name: string;
  folder: string;
}

/** A folder of this project, in the sources as well as in the build. */
export function projectFolder(...segments: string[]): string {
  let root = import.meta.dirname;
  while (!existsSync(path.join(root, 'package.json'))) root = path.dirname(root);
  return path.join(root, ...segments);
}

/**
 * Applies what is missing of `sets`, in their order.
 *
 * @throws Error that names the file that failed; nothing of that file is kept.
 */
export async function migrate(url: string, sets: readonly MigrationSet[]): Promise<void> {
  const pool = new Pool({ connectionString: url, max: 2, connectionTimeoutMillis: 3_000 });
  pool.on('error', () => {});
  const db = new Kysely<unknown>({ dialect: new PostgresDialect({ pool }) });
  try {
    for (const { name, folder } of sets) {
      const migrator = new Migrator({
        db,
        provider: { getMigrations: () => readMigrations(folder) },
        migrationTableSchema: 'migrations',
        migrationTableName: name,
        migrationLockTableName: `${name}_lock`,
      });
      const { error, results } = await migrator.migrateToLatest();
      const failed = results?.find(({ status }) => status === 'Error');
      if (failed) throw new Error(`Migration ${folder}/${failed.migrationName}.sql failed`, { cause: error });
      if (error) throw error as Error;
    }
  } finally {
    await db.destroy();
  }
}

async function readMigrations(folder: string): Promise<Record<string, Migration>> {
  const files = (await readdir(folder)).filter((file) => file.endsWith('.sql')).sort();
  const migrations = files.map(async (file): Promise<[string, Migration]> => {
    const text = await readFile(path.join(folder, file), 'utf8');
    return [path.basename(file, '.sql'), { up: async (db) => void (await sql.raw(text).execute(db)) }];
  });
  return Object.fromEntries(await Promise.all(migrations));
}
