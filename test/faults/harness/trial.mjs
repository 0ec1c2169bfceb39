// One run of one scenario: its databases, vhost, services and load, and what the scenario does to them.
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { run } from '../../../tools/infrastructure/commands.mjs';
import { dataDir, projectDir } from '../../../tools/infrastructure/outside.mjs';
import { freePort } from '../../../tools/infrastructure/ports.mjs';
import { Exceptions } from './exceptions.mjs';
import { reactionsOf } from './expectations.mjs';
import { Load } from './load.mjs';
import { planLoad } from './plan.mjs';
import { recovery } from './rest.mjs';
import { built } from './servers.mjs';
import { Service } from './service.mjs';
import { TrialDatabases } from './trial-databases.mjs';

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
  /** @type {Record<string, TcpProxy>} by `<service id>.<broker|database>` */
  #proxies = {};
  /** @type {string | undefined} */
  #loadUrl;
  except = new Exceptions();
  /** The run is being judged; nothing waits any longer. */
  over = false;
  /** Once the fault has ended: how many seconds it takes until everything recorded before has had its effects. @type {ReturnType<typeof recovery> | undefined} */
  recovered;
  /** Which share of the commands had been sent when the fault ended. */
  sentByThen = 1;
  /** @type {(() => Promise<void> | void)[]} */
  cleanUps = [];
  /** What is left to do when the databases are gone. @type {(() => Promise<void> | void)[]} */
  lastly = [];

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
    this.databases = new TrialDatabases(servers, scenario.name);
    this.vhost = `faults-${scenario.name}`;
    this.dir = path.join(dataDir, 'faults', scenario.name);
    mkdirSync(this.dir, { recursive: true });
    const plan = planLoad({ seed: `${seed}/${scenario.name}`, events, ...scenario.load });
    const { seconds, trickle, concurrency } = scenario.load ?? {};
    const url = () => this.#loadUrl ?? this.producer.url;
    const historyFile = path.join(this.dir, 'history.ndjson');
    this.load = new Load(plan, { url, historyFile, seconds, trickle, concurrency });
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

  /** The reactions that each type of event must have in a service. @param {string} name of the service */
  expected(name) {
    const expected = { ...reactionsOf(name) };
    for (const [type, more] of Object.entries(this.scenario.reactions?.[name] ?? {})) {
      expected[type] = [...(expected[type] ?? []), ...more];
    }
    return expected;
  }

  /** Databases, vhost, services: everything that is there before the fault. */
  async setUp() {
    const declared = Object.entries(this.scenario.services ?? { producer: {}, consumer: {} });
    const names = new Set(declared.map(([id, { service = id }]) => service));
    await this.broker.createVhost(this.vhost);
    for (const name of names) await this.databases.create(name);
    for (const [id, options] of declared) this.services[id] = await this.#prepare(id, options);
    if (this.scenario.load?.proxied) this.#loadUrl = await this.#proxy('load', this.producer.url);
    const now = declared.filter(([, { manual }]) => !manual).map(([id]) => this.service(id));
    await Promise.all(now.map((service) => service.start()));
    await Promise.all(now.map((service) => service.ready()));
  }

  /** @param {string} id @param {ServiceOptions} options */
  async #prepare(id, { service: name = id, env = {}, failpoints, proxied = [], wrapper }) {
    const prefix = name.toUpperCase();
    const { books = 600_000 } = this.scenario;
    const port = await freePort();
    const direct = { broker: this.servers.amqpUrl(this.vhost), database: this.databases.urls[name] ?? '' };
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
        FAULTS_DIR: this.dir,
        RABBITMQ_URL: direct.broker,
        [`${prefix}_PORT`]: String(port),
        [`${prefix}_DATABASE_URL`]: direct.database,
        ...(books !== 'by default' && { BOOKS_INTERVAL_MS: String(books) }),
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

  /** The fault is over: from now on the clock of recovery runs. */
  healed() {
    this.sentByThen = this.load.progress;
    this.recovered = recovery(this);
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
  rows(name, sql, values) {
    return this.databases.rows(name, sql, values);
  }

  /** The only figure of a statement. @param {string} name @param {string} sql @param {unknown[]} [values] */
  count(name, sql, values) {
    return this.databases.count(name, sql, values);
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
        RABBITMQ_URL: this.servers.amqpUrl(this.vhost),
        [`${name.toUpperCase()}_DATABASE_URL`]: this.databases.urls[name],
      },
    });
    if (code !== 0 && code !== 4) throw new Error(`events ${words.join(' ')}: code ${code}: ${stderr || stdout}`);
    return JSON.parse(stdout);
  }

  async cleanUp() {
    this.over = true;
    this.load.stop();
    await Promise.all(Object.values(this.services).map((service) => service.stop('SIGKILL').catch(() => {})));
    for (const cleanUp of this.cleanUps) await cleanUp();
    await this.databases.drop();
    for (const work of this.lastly) await work();
    await this.broker.api('DELETE', `vhosts/${this.vhost}`).catch(() => {});
  }
}
