import path from 'node:path';
import { Failure } from '../infrastructure/failure.mjs';
import { dataDir } from '../infrastructure/outside.mjs';
import { startPostgres } from '../infrastructure/postgres.mjs';
import { startRabbitMq } from '../infrastructure/rabbitmq.mjs';
import { given } from './given.mjs';
import { databases } from './services.mjs';
import { step } from './steps.mjs';

/** @typedef {ReturnType<typeof import('./options.mjs').readOptions>} Options */

/** Without servers of our own, somebody must say where they are. */
export function requireAddresses() {
  const missing = ['RABBITMQ_URL', ...databases.map(({ variable }) => variable)].filter((name) => !given(name));
  if (missing.length > 0)
    throw new Failure(`--no-infra needs ${missing.join(', ')}.`, 'Set them, or put them into .env');
}

/** @param {Options} options */
export const findRabbitMq = ({ ports }) =>
  step('RabbitMQ', async ({ note, result }) => {
    const broker = await startRabbitMq({
      dataDir: path.join(dataDir, 'rabbitmq'),
      ports: { amqp: ports.rabbitmq, management: ports.management },
      env: { ...process.env, RABBITMQ_URL: given('RABBITMQ_URL') },
      log: note,
    });
    result(broker.where);
    return broker;
  });

/**
 * @param {Options} options
 * @returns {Promise<{ urls: Record<string, string>, server?: Awaited<ReturnType<typeof startPostgres>> }>}
 *   the database of each service by its variable
 */
export const findDatabases = ({ ports }) =>
  step('Postgres', async ({ note, result }) => {
    /** @type {Record<string, string>} */
    const urls = {};
    for (const { variable } of databases) {
      const url = given(variable);
      if (url) await checkDatabase(variable, url);
      if (url) urls[variable] = url;
    }
    const rest = databases.filter(({ variable }) => !urls[variable]);
    if (rest.length === 0) {
      result('as given by the environment');
      return { urls };
    }
    const server = await startPostgres({ dataDir: path.join(dataDir, 'postgres'), port: ports.postgres, log: note });
    for (const { variable, database } of rest) urls[variable] = await server.createDatabase(database);
    result(`server of our own, localhost:${server.port}`);
    return { urls, server };
  });

/**
 * @param {string} name
 * @param {string} url
 */
async function checkDatabase(name, url) {
  const { default: pg } = await import('pg');
  const shown = URL.canParse(url) ? `${new URL(url).host}${new URL(url).pathname}` : undefined;
  if (!shown)
    throw new Failure(
      `${name} is not an address of a database.`,
      'It looks like postgres://user:password@host:5432/database',
    );
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5000 });
  client.on('error', () => {});
  try {
    await client.connect();
    await client.end();
  } catch (error) {
    const { code, message } = /** @type {Error & { code?: string }} */ (error);
    /** @type {Record<string, string>} */
    const remedies = {
      '28P01': `Correct user and password in ${name}.`,
      28000: `Correct the user in ${name}.`,
      '3D000': `Create it: createdb ${shown.split('/')[1]}`,
      ECONNREFUSED: `Start that server, or unset ${name} to get one started here.`,
      ENOTFOUND: `Correct the host in ${name}.`,
    };
    throw new Failure(
      `The database ${shown} (${name}) cannot be used: ${message || code}`,
      remedies[code ?? ''] ?? `Correct ${name}, or unset it to get a server started here.`,
    );
  }
}
