// A RabbitMQ and a Postgres for scenarios, with the means to hurt them.
import { mkdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import pg from 'pg';
import { dataDir, projectDir } from '../../../tools/infrastructure/outside.mjs';
import { startPostgres } from '../../../tools/infrastructure/postgres.mjs';
import { startOwnRabbitMq } from '../../../tools/infrastructure/rabbitmq.mjs';
import { signalProcess } from '../../../tools/infrastructure/signals.mjs';
import { Broker } from './broker.mjs';

/** Removed by the next test run, should this one be killed. */
export const runDir = path.join(dataDir, `test-${process.pid}-faults`);

/**
 * @param {string} name
 */
export async function startServers(name) {
  const dir = path.join(runDir, name);
  mkdirSync(dir, { recursive: true });
  const log = () => {};
  const [node, postgres] = await Promise.all([
    startOwnRabbitMq({ dataDir: path.join(dir, 'rabbitmq'), ports: { amqp: 0, management: 0 }, statisticsMs: 500, log }),
    startPostgres({ dataDir: path.join(dir, 'postgres'), port: 0, log }),
  ]);
  return new Servers(dir, node, postgres);
}

export class Servers {
  #template = false;

  /**
   * @param {string} dir
   * @param {Awaited<ReturnType<typeof startOwnRabbitMq>>} node
   * @param {Awaited<ReturnType<typeof startPostgres>>} postgres
   */
  constructor(dir, node, postgres) {
    this.dir = dir;
    this.node = node;
    this.postgres = postgres;
    this.broker = new Broker(node);
  }

  /** One statement as superuser, on a connection of its own. @param {string} sql @param {unknown[]} [values] */
  async asSuperuser(sql, values = []) {
    const client = new pg.Client({ connectionString: this.postgres.url, connectionTimeoutMillis: 5_000 });
    client.on('error', () => {});
    await client.connect();
    try {
      return (await client.query(sql, values)).rows;
    } finally {
      await client.end();
    }
  }

  /** A migrated database. @param {string} name @returns {Promise<string>} its URL */
  async createDatabase(name) {
    await this.dropDatabase(name);
    await this.#makeTemplate();
    await this.copyDatabase('template_faults', name);
    return this.postgres.urlOf(name);
  }

  /** Nobody may be connected to the original. @param {string} from @param {string} to */
  async copyDatabase(from, to) {
    for (let patience = 50; ; patience--) {
      try {
        await this.asSuperuser(`create database "${to}" template "${from}"`);
        return;
      } catch (error) {
        if (patience === 0 || /** @type {{ code?: string }} */ (error).code !== '55006') throw error;
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    }
  }

  /** @param {string} name */
  async dropDatabase(name) {
    await this.asSuperuser(`drop database if exists "${name}" with (force)`);
  }

  /** Crash of Postgres: what was committed is there again after the restart. */
  async crashPostgres() {
    signalProcess({ pid: /** @type {number} */ (this.postgres.pid), group: false }, 'SIGQUIT'); // pg_ctl -m immediate
    await this.postgres.exited;
    await this.postgres.start();
  }

  async remove() {
    await Promise.all([this.node.remove(), this.postgres.remove()]);
    rmSync(this.dir, { recursive: true, force: true, maxRetries: 5 });
  }

  async #makeTemplate() {
    if (this.#template) return;
    const { migrate } = await built('libs/database/src/index.js');
    const { messagingMigrations } = await built('libs/messaging/src/index.js');
    await this.dropDatabase('template_faults');
    await this.asSuperuser('create database template_faults');
    const folder = path.join(projectDir, 'test/faults/services/migrations');
    await migrate(this.postgres.urlOf('template_faults'), [messagingMigrations, { name: 'faults', folder }]);
    this.#template = true;
  }
}

/** A module of the libraries, as the services use it. @param {string} file @returns {Promise<any>} */
export const built = (file) => import(path.join(projectDir, 'dist/faults', file));
