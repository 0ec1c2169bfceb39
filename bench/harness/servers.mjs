// A RabbitMQ and a Postgres for one run of the benchmark, as `npm start` would start them.
import { mkdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import pg from 'pg';
import { Broker } from '../../test/faults/harness/broker.mjs';
import { dataDir, projectDir } from '../../tools/infrastructure/outside.mjs';
import { startPostgres } from '../../tools/infrastructure/postgres.mjs';
import { startOwnRabbitMq } from '../../tools/infrastructure/rabbitmq.mjs';
import { cpuSecondsOf } from './cpu.mjs';

/** Removed by the next test run, should this one be killed. */
export const runDir = path.join(dataDir, `test-${process.pid}-bench`);

const TEMPLATE = 'template_bench';

export async function startServers() {
  mkdirSync(runDir, { recursive: true });
  const log = () => {};
  const [rabbitmq, postgres] = await Promise.all([
    startOwnRabbitMq({ dataDir: path.join(runDir, 'rabbitmq'), ports: { amqp: 0, management: 0 }, log }),
    startPostgres({ dataDir: path.join(runDir, 'postgres'), port: 0, log }),
  ]);
  const servers = new Servers(rabbitmq, postgres);
  await servers.prepare();
  return servers;
}

export class Servers {
  #count = 0;

  /**
   * @param {Awaited<ReturnType<typeof startOwnRabbitMq>>} rabbitmq
   * @param {Awaited<ReturnType<typeof startPostgres>>} postgres
   */
  constructor(rabbitmq, postgres) {
    this.rabbitmq = rabbitmq;
    this.postgres = postgres;
    this.broker = new Broker(() => rabbitmq);
  }

  async prepare() {
    const { migrate } = await built('libs/database/src/index.js');
    const { messagingMigrations } = await built('libs/messaging/src/index.js');
    await this.superuser(`create database ${TEMPLATE}`);
    const folder = path.join(projectDir, 'bench/services/migrations');
    await migrate(this.postgres.urlOf(TEMPLATE), [messagingMigrations, { name: 'bench', folder }]);
  }

  /** One statement on a connection of its own. @param {string} sql */
  async superuser(sql) {
    const client = new pg.Client({ connectionString: this.postgres.url });
    await client.connect();
    try {
      return (await client.query(sql)).rows;
    } finally {
      await client.end();
    }
  }

  /** Names that nobody has used in this run. @param {string} kind */
  name(kind) {
    this.#count += 1;
    return `${kind}_${this.#count}`;
  }

  /** A migrated database, empty. @param {string} name */
  async createDatabase(name) {
    await this.superuser(`create database "${name}" template ${TEMPLATE}`);
    return this.postgres.urlOf(name);
  }

  /** @param {string} name */
  async dropDatabase(name) {
    await this.superuser(`drop database if exists "${name}" with (force)`);
  }

  /**
   * Lets `work` use so many connections to a migrated database of its own.
   * @template Result
   * @param {number} count
   * @param {(clients: pg.Client[]) => Promise<Result>} work
   */
  async withClients(count, work) {
    const name = this.name('clients');
    const connectionString = await this.createDatabase(name);
    const clients = Array.from({ length: count }, () => new pg.Client({ connectionString }));
    try {
      for (const client of clients) client.on('error', () => {}); // whoever asks hears of it
      await Promise.all(clients.map((client) => client.connect()));
      return await work(clients);
    } finally {
      await Promise.all(clients.map((client) => client.end().catch(() => {})));
      await this.dropDatabase(name);
    }
  }

  /** @param {string} name @returns {Promise<string>} its URL */
  async createVhost(name) {
    await this.broker.createVhost(name);
    return `${this.rabbitmq.url}/${name}`;
  }

  /** @param {string} name */
  async dropVhost(name) {
    await this.broker.api('DELETE', `vhosts/${name}`);
  }

  /** CPU time used so far, in seconds; undefined where the system does not tell. */
  cpuSeconds() {
    return {
      postgres: cpuSecondsOf(this.postgres.pid),
      rabbitmq: cpuSecondsOf(this.rabbitmq.pid),
    };
  }

  async versions() {
    const [[row], overview] = await Promise.all([
      this.superuser('show server_version'),
      this.broker.api('GET', 'overview'),
    ]);
    return {
      'Node.js': process.versions.node,
      RabbitMQ: overview.rabbitmq_version,
      Erlang: overview.erlang_version,
      PostgreSQL: row.server_version,
    };
  }

  async remove() {
    await Promise.all([this.rabbitmq.remove(), this.postgres.remove()]);
    rmSync(runDir, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** A module of the libraries, as the services use it. @param {string} file @returns {Promise<any>} */
export const built = (file) => import(path.join(projectDir, 'dist/bench', file));
