// One run of one scenario: its databases, vhost, services and load, and what the scenario does to them.
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { run } from '../../../tools/infrastructure/commands.mjs';
import { dataDir, projectDir } from '../../../tools/infrastructure/outside.mjs';
import { freePort } from '../../../tools/infrastructure/ports.mjs';
import { Load } from './load.mjs';
import { planLoad } from './plan.mjs';
import { built } from './servers.mjs';
import { Service } from './service.mjs';
import { look } from './sql.mjs';

/** @typedef {import('./types.js').Scenario} Scenario */
/** @typedef {import('./types.js').ServiceOptions} ServiceOptions */
/** @typedef {import('./servers.mjs').Servers} Servers */
/** @typedef {import('../../../libs/testing/src/tcp-proxy.js').TcpProxy} TcpProxy */

/** The scenario could not show that its fault has happened, or that it had the effect it must have. */
export class NotProvedError extends Error {
  /** @override */
  name = 'NotProvedError';
}

export class Trial {
  /** @type {string[]} */
  evidence = [];
  /** @type {Record<string, Service>} by id */
  services = {};
  /** @type {Record<string, import('./sql.mjs').Look>} by name of the service */
  databases = {};
  /** @type {Record<string, string>} URLs by name of the service */
  databaseUrls = {};
  /** @type {Record<string, TcpProxy>} by `<service id>.<broker|database>` */
  #proxies = {};
  /** Events that stay parked for good, by name of the service. @type {Record<string, number>} */
  parkedForGood = {};
  /** Events that an operator has skipped, so that they have no effect, by id. @type {Set<string>} */
  skipped = new Set();
  /** Inboxes besides the usual ones with their aggregates, by name of the service. @type {Record<string, Record<string, string[]>>} */
  moreInboxes = {};
  /** Commands that were acknowledged by a database that was later taken back to an older state. @type {Set<string>} */
  forgotten = new Set();
  /** Reactions that need not have seen an event, as `service reaction` → ids. @type {Map<string, Set<string>>} */
  exempt = new Map();
  /** Effects of events that exist no more, as `service id`. @type {Set<string>} */
  allowed = new Set();
  /** Types of events that nobody reacts to. @type {string[]} */
  unheard = [];
  /** Events that nobody can hear any more. */
  missing = 0;
  /** The run is being judged; nothing waits any longer. */
  over = false;
  /** @type {number | undefined} */
  healedAt;
  /** @type {(() => Promise<void> | void)[]} */
  cleanUps = [];

  /**
   * @param {Scenario} scenario
   * @param {{ servers: Servers, seed: string, events: number, sabotage?: string, patience?: number }} options
   *   `patience`: how many times longer everything may take on this machine
   */
  constructor(scenario, { servers, seed, events, sabotage, patience = 1 }) {
    this.scenario = scenario;
    this.servers = servers;
    this.seed = seed;
    this.sabotage = sabotage;
    this.patience = patience;
    this.vhost = `faults-${scenario.name}`;
    this.dir = path.join(dataDir, 'faults', scenario.name);
    mkdirSync(this.dir, { recursive: true });
    const plan = planLoad({ seed: `${seed}/${scenario.name}`, events, ...scenario.load });
    const options = { seconds: scenario.load?.seconds, concurrency: scenario.load?.concurrency };
    const historyFile = path.join(this.dir, 'history.ndjson');
    this.load = new Load(plan, { url: () => this.producer.url, historyFile, ...options });
  }

  get broker() {
    return this.servers.broker;
  }

  get producer() {
    return this.service('producer');
  }

  get consumer() {
    return this.service('consumer');
  }

  /** @param {string} id @returns {Service} */
  service(id) {
    const service = this.services[id];
    if (!service) throw new Error(`${this.scenario.name} has no service "${id}"`);
    return service;
  }

  /** @param {string} name such as `producer.broker` @returns {TcpProxy} */
  proxy(name) {
    const proxy = this.#proxies[name];
    if (!proxy) throw new Error(`${this.scenario.name} has no proxy "${name}"`);
    return proxy;
  }

  /** Names of the services, each once, however many processes it has. */
  get names() {
    return [...new Set(Object.values(this.services).map(({ name }) => name))];
  }

  /** Databases, vhost, services: everything that is there before the fault. */
  async setUp() {
    const declared = Object.entries(this.scenario.services ?? { producer: {}, consumer: {} });
    const names = new Set(declared.map(([id, { service = id }]) => service));
    await this.broker.createVhost(this.vhost);
    for (const name of names) {
      this.databaseUrls[name] = await this.servers.createDatabase(this.databaseName(name));
      this.databases[name] = look(/** @type {string} */ (this.databaseUrls[name]));
    }
    for (const [id, options] of declared) this.services[id] = await this.#prepare(id, options);
    const now = declared.filter(([, { manual }]) => !manual).map(([id]) => this.service(id));
    await Promise.all(now.map((service) => service.start()));
    await Promise.all(now.map((service) => service.ready()));
  }

  /** @param {string} name of a service */
  databaseName(name) {
    return `faults_${this.scenario.name.replaceAll('-', '_')}_${name}`.slice(0, 63);
  }

  /** @param {string} id @param {ServiceOptions} options */
  async #prepare(id, { service: name = id, env = {}, failpoints, proxied = [], wrapper }) {
    const prefix = name.toUpperCase();
    const port = await freePort();
    const direct = { broker: `${this.servers.node.url}/${this.vhost}`, database: this.databaseUrls[name] ?? '' };
    for (const target of proxied) direct[target] = await this.#proxy(`${id}.${target}`, direct[target]);
    return new Service({
      id,
      name,
      port,
      wrapper,
      patience: this.patience,
      logFile: path.join(this.dir, `${id}.log`),
      env: {
        NODE_ENV: 'test',
        LOG_LEVEL: 'info',
        LOG_FORMAT: 'json',
        FAULTS_SERVICE: name,
        FAULTS_SEED: this.seed,
        BOOKS_INTERVAL_MS: String(this.scenario.books ?? 600_000),
        RABBITMQ_URL: direct.broker,
        [`${prefix}_PORT`]: String(port),
        [`${prefix}_DATABASE_URL`]: direct.database,
        ...(this.sabotage && { SABOTAGE: this.sabotage }),
        ...env,
      },
      failpoints,
    });
  }

  /** @param {string} name @param {string} target a URL @returns {Promise<string>} the URL through the proxy */
  async #proxy(name, target) {
    const { startTcpProxy } = await built('libs/testing/src/tcp-proxy.js');
    const proxy = await startTcpProxy(target);
    this.#proxies[name] = proxy;
    this.cleanUps.push(() => proxy.close());
    return proxy.url;
  }

  /** @param {string} commandId */
  isForgotten(commandId) {
    return this.forgotten.has(commandId);
  }

  /** Whether an event need not have had this effect. @param {string} service @param {string} reaction @param {string} id */
  isExempt(service, reaction, id) {
    return this.skipped.has(id) || this.exempt.get(`${service} ${reaction}`)?.has(id) === true;
  }

  /** Whether an effect of an unknown event is in order. @param {string} service @param {string} key `id reaction` */
  isAllowed(service, key) {
    return this.allowed.has(`${service} ${key.split(' ')[0]}`);
  }

  /** The fault is over: from now on the clock of recovery runs. */
  healed() {
    this.healedAt = Date.now();
  }

  /**
   * Part of the evidence: holds, or the scenario has failed.
   * @param {unknown} holds
   * @param {string} statement in the past tense, with figures
   */
  prove(holds, statement) {
    if (!holds) throw new NotProvedError(`not so: ${statement}`);
    this.evidence.push(statement);
  }

  /** @param {number} seconds */
  async sleep(seconds) {
    await sleep(seconds * 1_000);
  }

  /**
   * Waits for a fact.
   * @template T
   * @param {string} what
   * @param {() => Promise<T | undefined | false> | T | undefined | false} fact
   * @param {number} [seconds]
   * @returns {Promise<T>}
   */
  async until(what, fact, seconds = 30) {
    const deadline = Date.now() + seconds * this.patience * 1_000;
    /** @type {unknown} */
    let failure;
    for (;;) {
      try {
        const value = await fact();
        if (value) return value;
        failure = undefined;
      } catch (error) {
        failure = error;
      }
      if (Date.now() > deadline) {
        throw new NotProvedError(`waited ${seconds} s in vain until ${what}${failure ? ` (${failure})` : ''}`);
      }
      await sleep(100);
    }
  }

  /** Rows of a service's database. @param {string} name @param {string} sql @param {unknown[]} [values] */
  async rows(name, sql, values) {
    const database = this.databases[name];
    if (!database) throw new Error(`${this.scenario.name} has no service ${name}`);
    return database.query(sql, values);
  }

  /** The only figure of a statement. @param {string} name @param {string} sql @param {unknown[]} [values] */
  async count(name, sql, values) {
    const [row] = await this.rows(name, sql, values);
    return Number(Object.values(row)[0]);
  }

  /** A counter of the process that runs now, over all labels. @param {string} id @param {string} name */
  async metric(id, name) {
    const text = /** @type {string} */ (await this.service(id).get('/metrics'));
    const values = text.matchAll(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)$`, 'gm'));
    return [...values].reduce((sum, [, value]) => sum + Number(value), 0);
  }

  /** How often the broker has delivered something again. */
  async redeliveries() {
    const queues = await this.broker.queues(this.vhost);
    return queues.reduce((sum, { message_stats: stats }) => sum + (stats?.redeliver ?? 0), 0);
  }

  /** The misbehaviour is repaired, and an operator has what it set aside tried again. @param {string} flag */
  async repair(flag) {
    for (const name of this.names) {
      await this.rows(name, 'insert into repaired (flag) values ($1) on conflict do nothing', [flag]);
      await this.operator(name, 'parked', 'retry', '--all', '--yes');
    }
  }

  /**
   * What an operator types: `npm run events -- … --service <name> --json`.
   * @param {string} name of the service
   * @param {string[]} words
   * @returns {Promise<any>} what it says
   */
  async operator(name, ...words) {
    const command = path.join(projectDir, 'dist/faults/libs/messaging/src/operations/cli/main.js');
    const { code, stdout, stderr } = await run(process.execPath, [command, ...words, '--service', name, '--json'], {
      cwd: this.dir,
      env: {
        PATH: process.env.PATH,
        RABBITMQ_URL: `${this.servers.node.url}/${this.vhost}`,
        [`${name.toUpperCase()}_DATABASE_URL`]: this.databaseUrls[name],
      },
    });
    if (code !== 0 && code !== 4) throw new Error(`events ${words.join(' ')}: code ${code}: ${stderr || stdout}`);
    return JSON.parse(stdout);
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
    this.cleanUps.push(() => sampler.stop());
    return sampler;
  }

  /**
   * Begins a transaction and keeps it open.
   * @param {string} name of the service
   * @param {string} sql
   * @returns {Promise<() => Promise<void>>} ends it
   */
  async hold(name, sql) {
    const client = new pg.Client({ connectionString: this.databaseUrls[name], application_name: 'checker' });
    client.on('error', () => {});
    await client.connect();
    await client.query(`begin; ${sql}`);
    const end = async () => {
      await client.query('rollback').catch(() => {});
      await client.end().catch(() => {});
    };
    this.cleanUps.push(end);
    return end;
  }

  async cleanUp() {
    this.load.stop();
    await Promise.all(Object.values(this.services).map((service) => service.stop('SIGKILL').catch(() => {})));
    for (const cleanUp of this.cleanUps) await cleanUp();
    await Promise.all(Object.values(this.databases).map((database) => database.close()));
    for (const name of Object.keys(this.databases)) await this.servers.dropDatabase(this.databaseName(name));
    await this.broker.api('DELETE', `vhosts/${this.vhost}`).catch(() => {});
  }
}
