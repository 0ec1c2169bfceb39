// A RabbitMQ and a Postgres for scenarios, with the means to hurt them.
import { mkdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import pg from 'pg';
import { dataDir, projectDir } from '../../../tools/infrastructure/outside.mjs';
import { startPostgres } from '../../../tools/infrastructure/postgres.mjs';
import { startOwnRabbitMq } from '../../../tools/infrastructure/rabbitmq.mjs';
import { signalProcess } from '../../../tools/infrastructure/signals.mjs';
import { Broker } from './broker.mjs';
import { startCluster } from './cluster.mjs';

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
    startOwnRabbitMq({
      dataDir: path.join(dir, 'rabbitmq'),
      ports: { amqp: 0, management: 0 },
      statisticsMs: 500,
      log,
    }),
    startPostgres({ dataDir: path.join(dir, 'postgres'), port: 0, log }),
  ]);
  return new Servers(dir, node, postgres);
}

/** A cluster of three brokers, and a Postgres. @param {string} name */
export async function startClusterServers(name) {
  const dir = path.join(runDir, name);
  mkdirSync(dir, { recursive: true });
  const [cluster, postgres] = await Promise.all([
    startCluster(path.join(dir, 'cluster')),
    startPostgres({ dataDir: path.join(dir, 'postgres'), port: 0, log: () => {} }),
  ]);
  return new Servers(dir, undefined, postgres, cluster);
}

export class Servers {
  #template = false;
  #node;
  #cluster;

  /**
   * @param {string} dir
   * @param {Awaited<ReturnType<typeof startOwnRabbitMq>> | undefined} node
   * @param {Awaited<ReturnType<typeof startPostgres>>} postgres
   * @param {import('./cluster.mjs').Cluster} [cluster] instead of the node
   */
  constructor(dir, node, postgres, cluster) {
    this.dir = dir;
    this.#node = node;
    this.#cluster = cluster;
    this.postgres = postgres;
    this.broker = new Broker(() => cluster?.alive ?? this.node);
  }

  /** The broker, if it is one. */
  get node() {
    if (!this.#node) throw new Error('these servers have a cluster');
    return this.#node;
  }

  get cluster() {
    if (!this.#cluster) throw new Error('these servers have one broker only');
    return this.#cluster;
  }

  /** What a service is told; for a cluster the URLs of all nodes. @param {string} vhost */
  amqpUrl(vhost) {
    const nodes = this.#cluster?.nodes ?? [this.node];
    return nodes.map(({ url }) => `${url}/${vhost}`).join(',');
  }

  /** One statement as superuser, on a connection of its own. @param {string} sql @param {unknown[]} [values] */
  async asSuperuser(sql, values = []) {
    const client = new pg.Client({ connectionString: this.postgres.url, connectionTimeoutMillis: 30_000 });
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

  /** Nobody but the checker may be connected to the original. @param {string} from @param {string} to */
  async copyDatabase(from, to) {
    await this.asSuperuser(
      `select pg_terminate_backend(pid) from pg_stat_activity where datname = $1 and application_name = 'checker'`,
      [from],
    );
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
    await Promise.all([this.#node?.remove(), this.#cluster?.remove(), this.postgres.remove()]);
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
