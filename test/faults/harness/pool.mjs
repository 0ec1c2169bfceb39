// The servers that scenarios run on: one pair that most of them share, and fresh ones for those that wreck theirs.
import { startClusterServers, startServers } from './servers.mjs';

/** @typedef {import('./servers.mjs').Servers} Servers */

export class Pool {
  /** @type {Map<string, Servers>} */
  #kept = new Map();
  #started = 0;
  #name;
  /** @type {Record<string, string> | undefined} */
  #versions;

  /** @param {string} [name] if there are several */
  constructor(name = 'pool') {
    this.#name = name;
  }

  /** @param {import('./types.js').Scenario} scenario @returns {Promise<Servers>} */
  async lease({ ownServers, cluster }) {
    const kind = cluster ? 'cluster' : 'shared';
    const kept = ownServers ? undefined : this.#kept.get(kind);
    if (kept) return kept;
    // A cluster takes much memory and time of the machine, so it is not there while others run.
    if (!cluster) await this.#discard('cluster');
    const start = cluster ? startClusterServers : startServers;
    const servers = await start(`${this.#name}-${ownServers ? 'own' : kind}-${++this.#started}`);
    if (!ownServers) this.#kept.set(kind, servers);
    this.#versions ??= await readVersions(servers);
    return servers;
  }

  /** @param {Servers} servers @param {boolean} sound whether they may be used again */
  async giveBack(servers, sound) {
    const kind = [...this.#kept].find(([, other]) => other === servers)?.[0];
    if (kind === undefined) await servers.remove();
    else if (!sound) await this.#discard(kind);
  }

  /** @param {string} kind */
  async #discard(kind) {
    const servers = this.#kept.get(kind);
    this.#kept.delete(kind);
    await servers?.remove();
  }

  /** Of the servers and of Node.js; undefined before the first lease. */
  get versions() {
    return this.#versions;
  }

  async remove() {
    await Promise.all([...this.#kept.values()].map((servers) => servers.remove()));
    this.#kept.clear();
  }
}

/** @param {Servers} servers */
async function readVersions(servers) {
  const [[row], overview] = await Promise.all([
    servers.asSuperuser('show server_version'),
    servers.broker.api('GET', 'overview'),
  ]);
  return {
    'Node.js': process.versions.node,
    RabbitMQ: overview.rabbitmq_version,
    Erlang: overview.erlang_version,
    PostgreSQL: row.server_version,
  };
}
