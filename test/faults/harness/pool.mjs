// The servers that scenarios run on: one pair that most of them share, and fresh ones for those that wreck theirs.
import { startServers } from './servers.mjs';

/** @typedef {import('./servers.mjs').Servers} Servers */

export class Pool {
  /** @type {Map<string, Servers>} */
  #kept = new Map();
  #started = 0;
  /** @type {Record<string, string> | undefined} */
  #versions;

  /** @param {import('./types.js').Scenario} scenario @returns {Promise<Servers>} */
  async lease({ ownServers }) {
    const kept = ownServers ? undefined : this.#kept.get('shared');
    if (kept) return kept;
    const servers = await startServers(`${ownServers ? 'own' : 'shared'}-${++this.#started}`);
    if (!ownServers) this.#kept.set('shared', servers);
    this.#versions ??= await readVersions(servers);
    return servers;
  }

  /** @param {Servers} servers @param {boolean} sound whether they may be used again */
  async giveBack(servers, sound) {
    const kind = [...this.#kept].find(([, other]) => other === servers)?.[0];
    if (sound && kind !== undefined) return;
    if (kind !== undefined) this.#kept.delete(kind);
    await servers.remove();
  }

  async versions() {
    return this.#versions ?? {};
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
