// The databases of one run, looked at and hurt from outside.
import pg from 'pg';

/** Name under which everything here is connected; it is no leak. */
const CHECKER = 'checker';

/**
 * Connections that survive restarts of the server.
 * @param {string} url
 */
function look(url) {
  const options = { connectionString: url, max: 2, application_name: CHECKER, connectionTimeoutMillis: 30_000 };
  const pool = new pg.Pool(options);
  pool.on('error', () => {});
  return pool;
}

export class TrialDatabases {
  /** @type {Record<string, string>} by name of the service */
  urls = {};
  /** @type {Map<string, pg.Pool>} */
  #pools = new Map();
  /** @type {(() => Promise<void> | void)[]} */
  #cleanUps = [];

  /** @param {import('./servers.mjs').Servers} servers @param {string} prefix of the databases' names */
  constructor(servers, prefix) {
    this.servers = servers;
    this.prefix = prefix.replaceAll('-', '_');
  }

  get names() {
    return Object.keys(this.urls);
  }

  /** A migrated one. @param {string} name of the service */
  async create(name) {
    const url = await this.servers.createDatabase(this.#nameOf(name));
    this.urls[name] = url;
    this.#pools.set(name, look(url));
  }

  /** Rows of a service's database. @param {string} name @param {string} sql @param {unknown[]} [values] @returns {Promise<any[]>} */
  async rows(name, sql, values) {
    const pool = this.#pools.get(name);
    if (!pool) throw new Error(`there is no database of ${name}`);
    return /** @type {any[]} */ ((await pool.query(sql, values)).rows);
  }

  /** The only figure of a statement. @param {string} name @param {string} sql @param {unknown[]} [values] */
  async count(name, sql, values) {
    const [row] = await this.rows(name, sql, values);
    return Number(Object.values(row)[0]);
  }

  /**
   * Looks again and again, ten times a second.
   * @param {string} name of the service
   * @param {string} sql
   * @returns {{ seen: Set<string>, most: number, stop: () => void }} `seen`: every row there was; `most`: rows at a time
   */
  sample(name, sql) {
    const sampler = { seen: new Set(), most: 0, stop: () => clearInterval(timer) };
    const look = async () => {
      const rows = await this.rows(name, sql);
      for (const row of rows) sampler.seen.add(JSON.stringify(row));
      sampler.most = Math.max(sampler.most, rows.length);
    };
    const timer = setInterval(() => void look().catch(() => {}), 100);
    this.#cleanUps.push(() => sampler.stop());
    return sampler;
  }

  /**
   * Begins a transaction and keeps it open.
   * @param {string} name of the service
   * @param {string} sql
   * @param {string[]} [more] statements that follow, as far as they work
   * @returns {Promise<() => Promise<void>>} ends it
   */
  async hold(name, sql, more = []) {
    const client = new pg.Client({ connectionString: this.urls[name], application_name: CHECKER });
    client.on('error', () => {});
    await client.connect();
    await client.query(`begin; ${sql}`);
    for (const statement of more) await client.query(statement).catch(() => {});
    const end = async () => {
      await client.query('rollback').catch(() => {});
      await client.end().catch(() => {});
    };
    this.#cleanUps.push(end);
    return end;
  }

  /** As it is now; no process of the service may run. @param {string} name */
  async backUp(name) {
    const backup = this.#nameOf(`${name}_old`);
    await this.servers.dropDatabase(backup);
    await this.servers.copyDatabase(this.#nameOf(name), backup);
    this.#pools.set(`${name}, old`, look(this.servers.postgres.urlOf(backup)));
    this.#cleanUps.push(() => this.servers.dropDatabase(backup));
  }

  /** Rows of the backup. @param {string} name @param {string} sql */
  backedUp(name, sql) {
    return this.rows(`${name}, old`, sql);
  }

  /** Takes the database back to the backup; no process of the service may run. @param {string} name */
  async restore(name) {
    const database = this.#nameOf(name);
    await this.#pools.get(`${name}, old`)?.end();
    this.#pools.delete(`${name}, old`);
    await this.servers.dropDatabase(database);
    await this.servers.copyDatabase(this.#nameOf(`${name}_old`), database);
  }

  async drop() {
    for (const cleanUp of this.#cleanUps) await cleanUp();
    await Promise.all([...this.#pools.values()].map((pool) => pool.end()));
    for (const name of this.names) await this.servers.dropDatabase(this.#nameOf(name));
  }

  /** @param {string} name */
  #nameOf(name) {
    return `faults_${this.prefix}_${name}`.slice(0, 63);
  }
}
