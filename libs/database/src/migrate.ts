// Brings a database up to date from numbered SQL files. Each file runs once, in order; what is missing of a set runs in one
// transaction, so a crash or an error leaves the set as it was. Concurrent starts wait for each other.
import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { Logger } from '@nestjs/common';
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
 * Applies what is missing of `sets`, in their order. What a newer version has applied already is left as it is, so that an
 * older one can still be started, after a rollback or beside it.
 *
 * @throws Error that names the file that failed; nothing of its set is kept. Its cause is {@link isContention} if somebody has
 *   locked a table for two seconds: a migration that waits for longer holds up everybody behind it.
 */
export async function migrate(url: string, sets: readonly MigrationSet[]): Promise<void> {
  const pool = new Pool({ connectionString: url, max: 2, connectionTimeoutMillis: 3_000 });
  pool.on('error', () => {});
  const db = new Kysely<unknown>({ dialect: new PostgresDialect({ pool }) });
  try {
    for (const { name, folder } of sets) {
      const migrator = new Migrator({
        db,
        provider: {
          getMigrations: async () => withNewer(await readMigrations(folder), await applied(db, name), folder),
        },
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
    const up = async (db: Kysely<unknown>) => {
      await sql`set local lock_timeout = '2s'`.execute(db);
      await sql.raw(text).execute(db);
    };
    return [path.basename(file, '.sql'), { up }];
  });
  return Object.fromEntries(await Promise.all(migrations));
}

/** The names of what has been applied. */
async function applied(db: Kysely<unknown>, name: string): Promise<string[]> {
  const table = sql.table(`migrations.${name}`);
  const { rows } = await sql<{ name: string }>`select name from ${table} order by name`.execute(db);
  return rows.map((row) => row.name);
}

function withNewer(
  known: Record<string, Migration>,
  applied: readonly string[],
  folder: string,
): Record<string, Migration> {
  const newest = Object.keys(known).at(-1) ?? '';
  const newer = applied.filter((name) => name > newest);
  if (newer.length > 0)
    new Logger('Database').warn(`${newer.join(', ')} of a newer version than this one was applied already (${folder})`);
  return { ...known, ...Object.fromEntries(newer.map((name) => [name, { up: () => Promise.resolve() }])) };
}
