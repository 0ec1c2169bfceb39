// Three RabbitMQ nodes on this machine that form a cluster. Each has its own ports, data and log; cookie and port mapper are shared.
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { run } from '../../../tools/infrastructure/commands.mjs';
import { answers, freePort } from '../../../tools/infrastructure/ports.mjs';
import { Rank, startProcess } from '../../../tools/infrastructure/processes.mjs';
import { findRabbitMq, searchPath, which } from '../../../tools/infrastructure/rabbitmq-install.mjs';
import { api } from '../../../tools/infrastructure/rabbitmq-probe.mjs';
import { configuration, environment, inherited } from '../../../tools/infrastructure/rabbitmq-settings.mjs';

const SIZE = 3;
const credentials = { user: 'guest', password: 'guest' };
/** Nodes notice that another one hangs after 15 to 20 s (default: 60). */
const NET_TICK_SECONDS = 15;

/** @param {string} dir @returns {Promise<Cluster>} */
export async function startCluster(dir) {
  const epmd = await freePort();
  const cookie = `COOKIE${process.pid}${Date.now()}`;
  const suffix = `${process.pid}_${Date.now().toString(36)}`;
  const names = Array.from({ length: SIZE }, (_, i) => `faults_${suffix}_${i + 1}@localhost`);
  mkdirSync(dir, { recursive: true });
  const mapper = await startProcess(
    /** @type {string} */ (which('epmd')),
    ['-port', String(epmd), '-address', '127.0.0.1'],
    { env: inherited(), logFile: path.join(dir, 'epmd.log'), rank: Rank.support },
  );
  const nodes = [];
  for (const name of names) nodes.push(await ClusterNode.prepare(path.join(dir, name), { name, epmd, cookie, names }));
  // The first one forms the cluster, the others find it.
  await nodes[0]?.start();
  await Promise.all(nodes.slice(1).map((node) => node.start()));
  return new Cluster(nodes, mapper);
}

export class Cluster {
  /** @param {ClusterNode[]} nodes @param {{ kill9: () => Promise<void> }} mapper */
  constructor(nodes, mapper) {
    this.nodes = nodes;
    this.mapper = mapper;
  }

  /** One that works; if there is a choice, one that never hung: one that did goes on answering for queues that it led before. */
  get alive() {
    const up = this.nodes.filter(({ isUp }) => isUp);
    return /** @type {ClusterNode} */ (up.find(({ hasHung }) => !hasHung) ?? up[0] ?? this.nodes[0]);
  }

  /** The node with the leader of a quorum queue. @param {string} vhost @param {string} queue @returns {Promise<ClusterNode>} */
  async leaderOf(vhost, queue) {
    const { body } = await api(this.alive.managementUrl, credentials, `queues/${vhost}/${queue}`);
    const node = this.nodes.find(({ name }) => name === body?.leader);
    if (!node) throw new Error(`the leader of ${queue} is ${body?.leader}`);
    return node;
  }

  async remove() {
    await Promise.all(this.nodes.map((node) => node.kill9()));
    await this.mapper.kill9();
  }
}

export class ClusterNode {
  /** It may be asked things. */
  isUp = false;
  hasHung = false;
  /** @type {import('../../../tools/infrastructure/processes.mjs').Running | undefined} */
  #process;

  /** @param {string} dir @param {{ name: string, cookie: string, ports: { amqp: number, management: number }, env: NodeJS.ProcessEnv }} options */
  constructor(dir, { name, cookie, ports, env }) {
    this.dir = dir;
    this.name = name;
    this.cookie = cookie;
    this.ports = ports;
    this.env = env;
  }

  /** @param {string} dir @param {{ name: string, epmd: number, cookie: string, names: string[] }} options */
  static async prepare(dir, { name, epmd, cookie, names }) {
    for (const folder of ['home', 'data', 'log']) mkdirSync(path.join(dir, folder), { recursive: true });
    const ports = { amqp: await freePort(), management: await freePort(), distribution: await freePort(), epmd };
    const { conf } = configuration({ ports, log: path.join(dir, 'log'), statisticsMs: 500 });
    const cluster = [
      'cluster_partition_handling = pause_minority',
      'cluster_formation.peer_discovery_backend = classic_config',
      ...names.map((peer, i) => `cluster_formation.classic_config.nodes.${i + 1} = ${peer}`),
    ];
    writeFileSync(path.join(dir, 'rabbitmq.conf'), `${conf}${cluster.join('\n')}\n`);
    const advanced = `[{kernel, [{net_ticktime, ${NET_TICK_SECONDS}}]}, {rabbit, [{quorum_tick_interval, 500}]}].\n`;
    writeFileSync(path.join(dir, 'advanced.config'), advanced);
    writeFileSync(path.join(dir, 'enabled_plugins'), '[rabbitmq_management].\n');
    writeFileSync(path.join(dir, 'home/.erlang.cookie'), cookie);
    chmodSync(path.join(dir, 'home/.erlang.cookie'), 0o400);
    const env = { ...inherited(), ...environment({ dir, name, ports, path: searchPath() }) };
    return new ClusterNode(dir, { name, cookie, ports, env });
  }

  get user() {
    return credentials.user;
  }

  get password() {
    return credentials.password;
  }

  get url() {
    return `amqp://guest:guest@127.0.0.1:${this.ports.amqp}`;
  }

  get managementUrl() {
    return `http://127.0.0.1:${this.ports.management}`;
  }

  async start() {
    const scripts = /** @type {string} */ (findRabbitMq());
    const { dir, env } = this;
    const logFile = path.join(dir, 'log/console.log');
    this.#process = await startProcess(path.join(scripts, 'rabbitmq-server'), [], {
      env,
      cwd: dir,
      logFile,
      stopGroup: false,
    });
    for (const deadline = Date.now() + 180_000; Date.now() < deadline; await sleep(200)) {
      if (this.#process.exit) throw new Error(`${this.name} ended as it started: ${this.#process.log().slice(-2_000)}`);
      if (!(await answers(this.ports.amqp))) continue;
      if ((await api(this.managementUrl, credentials, 'overview')).status !== 200) continue;
      this.isUp = true;
      return;
    }
    throw new Error(`${this.name} did not start within 180 s`);
  }

  async kill9() {
    this.isUp = false;
    await this.#process?.kill9();
  }

  /** The Erlang machine, not the script around it. @param {NodeJS.Signals} signal */
  signal(signal) {
    this.isUp = signal === 'SIGCONT';
    this.hasHung = true;
    process.kill(Number.parseInt(readFileSync(path.join(this.dir, 'pid'), 'utf8'), 10), signal);
  }

  /** @param {string[]} args */
  rabbitmqctl(args) {
    const scripts = /** @type {string} */ (findRabbitMq());
    return run(path.join(scripts, 'rabbitmqctl'), args, { env: this.env, cwd: this.dir, timeoutMs: 60_000 });
  }

  /**
   * Cuts this node off: the others are refused when they connect, whoever begins. Done here alone and at one moment: were each
   * told by itself, the others would see a partial partition and pause as well.
   * @param {ClusterNode[]} others
   */
  async partFrom(others) {
    const refuse = others.map(({ name }) => `erlang:set_cookie('${name}', wrong)`);
    const disconnect = others.map(({ name }) => `erlang:disconnect_node('${name}')`);
    await this.#eval([...refuse, ...disconnect]);
  }

  /** @param {ClusterNode[]} others */
  async meetAgain(others) {
    await this.#eval(others.map(({ name }) => `erlang:set_cookie('${name}', '${this.cookie}')`));
  }

  /** @param {string[]} expressions */
  async #eval(expressions) {
    const { code, stdout, stderr } = await this.rabbitmqctl(['eval', `${expressions.join(', ')}.`]);
    if (code !== 0) throw new Error(`${this.name}: ${stderr || stdout}`);
  }
}
