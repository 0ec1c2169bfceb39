// A RabbitMQ, a Postgres that keeps account of its statements, and both services as `npm start` runs them.
import { mkdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import pg from 'pg';
import { dataDir, projectDir } from '../../tools/infrastructure/outside.mjs';
import { freePort } from '../../tools/infrastructure/ports.mjs';
import { startPostgres } from '../../tools/infrastructure/postgres.mjs';
import { Rank, startProcess } from '../../tools/infrastructure/processes.mjs';
import { startOwnRabbitMq } from '../../tools/infrastructure/rabbitmq.mjs';
import { bundleOf, services } from '../../tools/start/services.mjs';

/** Removed by the next test run, should this one be killed. */
export const runDir = path.join(dataDir, `test-${process.pid}-scale`);

// Planning is part of what a statement costs. The rest makes the filling faster and changes no plan.
const SETTINGS = {
  shared_preload_libraries: 'pg_stat_statements',
  'pg_stat_statements.track_planning': 'on',
  max_wal_size: '8GB',
  maintenance_work_mem: '256MB',
};

export async function startSystem() {
  mkdirSync(runDir, { recursive: true });
  const log = () => {};
  const postgres = await startPostgres({ dataDir: path.join(runDir, 'postgres'), port: 0, log });
  const admin = await connect(postgres.url);
  for (const [name, value] of Object.entries(SETTINGS)) await admin.query(`alter system set ${name} = '${value}'`);
  await admin.end();
  await postgres.stop();
  await postgres.start();
  const rabbitmq = await startOwnRabbitMq({
    dataDir: path.join(runDir, 'rabbitmq'),
    ports: { amqp: 0, management: 0 },
    log,
  });
  return new System(postgres, rabbitmq);
}

export class System {
  /** @type {Map<string, pg.Client>} */
  #clients = new Map();

  /**
   * @param {Awaited<ReturnType<typeof startPostgres>>} postgres
   * @param {Awaited<ReturnType<typeof startOwnRabbitMq>>} rabbitmq
   */
  constructor(postgres, rabbitmq) {
    this.postgres = postgres;
    this.rabbitmq = rabbitmq;
  }

  /** An empty database with the tables of this service. @param {string} service */
  async prepare(service) {
    const url = await this.postgres.createDatabase(service);
    const { migrate } = await built('users', 'libs/database/src/index.js');
    const { messagingMigrations } = await built('users', 'libs/messaging/src/index.js');
    await migrate(url, [messagingMigrations]); // the rest does the service itself
    const client = await connect(url);
    await client.query('create extension pg_stat_statements');
    this.#clients.set(service, client);
  }

  /** @param {string} service @param {string} sql @param {unknown[]} [values] @returns {Promise<any[]>} */
  async rows(service, sql, values) {
    const client = this.#clients.get(service);
    if (!client) throw new Error(`${service} is not prepared`);
    const { rows } = await client.query(sql, values);
    return rows;
  }

  /** Starts a service and waits until it works. @param {string} name */
  async start(name) {
    const port = await freePort();
    const prefix = name.toUpperCase();
    const [service] = services.filter((one) => one.name === name);
    const running = await startProcess(
      process.execPath,
      [path.join(projectDir, bundleOf(/** @type {any} */ (service)))],
      {
        cwd: projectDir,
        env: {
          PATH: process.env.PATH,
          HOME: process.env.HOME,
          HOST: '127.0.0.1',
          RABBITMQ_URL: this.rabbitmq.url,
          PAYMENT_PROVIDER_URL: 'http://127.0.0.1:9',
          PAYMENT_WEBHOOK_URL: 'http://127.0.0.1:9',
          PAYMENT_WEBHOOK_SECRET: 'whsec_c2NhbGVzY2FsZXNjYWxlc2NhbGVzY2FsZQ==',
          LOG_FORMAT: 'json',
          [`${prefix}_PORT`]: String(port),
          [`${prefix}_DATABASE_URL`]: this.postgres.urlOf(name),
        },
        logFile: path.join(runDir, `${name}.log`),
        rank: Rank.service,
      },
    );
    const url = `http://127.0.0.1:${port}`;
    for (const deadline = Date.now() + 60_000; ; await sleep(100)) {
      const answer = /** @type {{ status?: string } | undefined} */ (
        await fetch(`${url}/health/ready`)
          .then((response) => response.json())
          .catch(() => undefined)
      );
      if (answer?.status === 'ok') return { url, stop: running.stop };
      if (running.exit || Date.now() > deadline)
        throw new Error(`${name} is not ready: ${running.log().slice(-2_000)}`);
    }
  }

  async remove() {
    await Promise.all([...this.#clients.values()].map((client) => client.end()));
    await Promise.all([this.rabbitmq.remove(), this.postgres.remove()]);
    rmSync(runDir, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** @param {string} url */
async function connect(url) {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => {});
  await client.connect();
  return client;
}

/** A module of the libraries, as the service uses it. @param {string} service @param {string} file @returns {Promise<any>} */
const built = (service, file) => import(pathToFileURL(path.join(projectDir, 'dist/apps', service, file)).href);
