import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { variable } from './environment.js';
import { eventually } from './eventually.js';

export interface TestDatabase {
  readonly url: string;
  readonly name: string;
  /** Drops the database. Throws if somebody is still connected two seconds later: a pool that nobody closed. */
  drop(): Promise<void>;
}

/**
 * A database of your own, with the schema that `migrate` makes. Only the first caller of a run migrates, into a template; the
 * others get a copy of it in some 50 ms.
 * @param name of the template: the same name means the same schema
 * @param migrate must close its connections before it returns
 */
export async function createTestDatabase(name: string, migrate: (url: string) => Promise<void>): Promise<TestDatabase> {
  const run = process.env.TEST_RUN ?? String(process.ppid);
  const template = `template_${name}_${run}`;
  const database = `${name}_${randomBytes(6).toString('hex')}`;
  await asSuperuser(async (client) => {
    await buildTemplate(client, template, migrate);
    await copy(client, template, database);
  });
  return { url: urlOf(database), name: database, drop: () => asSuperuser((client) => drop(client, database)) };
}

function urlOf(database: string): string {
  const url = new URL(variable('TEST_POSTGRES_URL'));
  url.pathname = `/${database}`;
  return url.href;
}

async function asSuperuser<T>(work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: variable('TEST_POSTGRES_URL') });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

async function buildTemplate(client: pg.Client, template: string, migrate: (url: string) => Promise<void>) {
  const isBuilt = async () => {
    const { rows } = await client.query('SELECT datistemplate FROM pg_database WHERE datname = $1', [template]);
    return (rows as { datistemplate: boolean }[])[0]?.datistemplate === true;
  };
  if (await isBuilt()) return;
  await client.query('SELECT pg_advisory_lock(hashtext($1))', [template]); // held until the client ends, or:
  try {
    if (await isBuilt()) return;
    await client.query(`DROP DATABASE IF EXISTS "${template}" WITH (FORCE)`); // of a migration that failed half-way
    await client.query(`CREATE DATABASE "${template}"`);
    await migrate(urlOf(template));
    await client.query(`ALTER DATABASE "${template}" IS_TEMPLATE true`);
  } finally {
    await client.query('SELECT pg_advisory_unlock(hashtext($1))', [template]);
  }
}

/** Postgres refuses while somebody is connected to the template; the migration's connections need a moment to go. */
async function copy(client: pg.Client, template: string, database: string) {
  await eventually(() => client.query(`CREATE DATABASE "${database}" TEMPLATE "${template}"`));
}

async function drop(client: pg.Client, database: string) {
  const connected = async () => {
    const { rows } = await client.query<{ application_name: string; query: string }>(
      'SELECT application_name, query FROM pg_stat_activity WHERE datname = $1',
      [database],
    );
    return rows;
  };
  const leaks = await eventually(
    async () => {
      if ((await connected()).length > 0) throw new Error('still connected');
      return [];
    },
    { timeoutMs: 2000 },
  ).catch(connected);
  await client.query(`DROP DATABASE IF EXISTS "${database}" WITH (FORCE)`);
  if (leaks.length === 0) return;
  const shown = leaks.map((leak) => `${leak.application_name || 'unnamed'}: ${leak.query}`).join('\n');
  throw new Error(`${leaks.length} connections to ${database} were left open:\n${shown}`);
}
