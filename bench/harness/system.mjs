// What is measured: a maker and its takers, ours or the peer's, with databases and a vhost of their own.
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { GOLEVELUP_ENTRY } from '../cases/peers.mjs';
import { Service } from './service.mjs';

/** @typedef {import('./servers.mjs').Servers} Servers */

const POLL_MS = 200;

export class System {
  /** @type {Service[]} */
  services = [];
  /** @type {Map<string, pg.Pool>} */
  #pools = new Map();
  /** @type {string[]} */
  #databases = [];

  /** @param {Servers} servers @param {string} vhost @param {string} broker its URL @param {string} [node] the program */
  constructor(servers, vhost, broker, node) {
    this.servers = servers;
    this.vhost = vhost;
    this.broker = broker;
    this.node = node;
  }

  /**
   * Makes one, lets `work` measure it, and takes it down.
   * @template Result
   * @param {{ servers: Servers, node?: string }} context
   * @param {(system: System) => Promise<Result>} work
   */
  static async use({ servers, node }, work) {
    const vhost = servers.name('bench');
    const system = new System(servers, vhost, await servers.createVhost(vhost), node);
    try {
      return await work(system);
    } finally {
      await system.remove();
    }
  }

  /**
   * Starts a service with a database of its own; a second process of the same service shares it.
   * @param {string} name
   * @param {Record<string, string>} [env]
   */
  async start(name, env = {}) {
    const url = await this.database(name);
    const variable = `${name.toUpperCase().replaceAll('-', '_')}_DATABASE_URL`;
    const own = { RABBITMQ_URL: this.broker, BENCH_DATABASE_URL: url, [variable]: url };
    const entry = name.startsWith('golevelup') ? GOLEVELUP_ENTRY : undefined;
    const service = await Service.start(name, { ...own, ...env }, { entry, node: this.node });
    this.services.push(service);
    return service;
  }

  /** Its URL; made if it is not there yet. @param {string} name of the service */
  async database(name) {
    const database = `${this.vhost}_${name}`;
    const url = this.servers.postgres.urlOf(database);
    if (this.#databases.includes(database)) return url;
    this.#databases.push(database);
    await this.servers.createDatabase(database);
    const pool = new pg.Pool({ connectionString: url, max: 2 });
    pool.on('error', () => {});
    this.#pools.set(name, pool);
    return url;
  }

  /** Rows of a service's database. @param {string} name @param {string} sql @param {unknown[]} [values] @returns {Promise<any[]>} */
  async rows(name, sql, values) {
    const pool = /** @type {pg.Pool} */ (this.#pools.get(name));
    return (await pool.query(sql, values)).rows;
  }

  /** Its only figure. @param {string} name @param {string} sql */
  async figure(name, sql) {
    const [row] = await this.rows(name, sql);
    return Number(Object.values(row)[0]);
  }

  /**
   * Waits until a service has applied so many events.
   * @param {Service} taker
   * @param {number} count
   * @param {(share: number) => void} [tell]
   * @returns {Promise<import('./service.mjs').Progress & { rate: number }>}
   */
  async applied(taker, count, tell = () => {}) {
    for (let last = -1, since = Date.now(); ; await sleep(POLL_MS)) {
      const progress = await taker.progress();
      tell(progress.applied / count);
      if (progress.applied >= count) {
        const { applied, first, firstAt, lastAt } = progress;
        return { ...progress, rate: ((applied - first) / (lastAt - firstAt)) * 1_000 };
      }
      if (progress.applied > last) [last, since] = [progress.applied, Date.now()];
      if (Date.now() - since > 60_000)
        throw new Error(`${taker.name} stands still at ${last} of ${count}\n${taker.log().slice(-2_000)}`);
    }
  }

  async remove() {
    await Promise.all(this.services.map((service) => service.stop()));
    await Promise.all([...this.#pools.values()].map((pool) => pool.end()));
    await this.servers.dropVhost(this.vhost);
    for (const database of this.#databases) await this.servers.dropDatabase(database);
  }
}
