import { rmSync } from 'node:fs';
import { Failure } from './failure.mjs';
import { useDocker, useLocal } from './rabbitmq-found.mjs';
import { useGiven } from './rabbitmq-given.mjs';
import { canInstallRabbitMq, findRabbitMq, installRabbitMq, waysToRabbitMq } from './rabbitmq-install.mjs';
import { startPrivateNode, stopLeftoverNode } from './rabbitmq-node.mjs';

/**
 * @typedef {{ url: string, managementUrl?: string, user: string, password: string, owned: boolean, where: string,
 *   stop: () => Promise<void> }} Broker
 *   `owned`: we started it and stop it; `where`: what it is, for people
 * @typedef {{ dataDir: string, ports?: { amqp?: number, management?: number }, log: (line: string) => void,
 *   env?: NodeJS.ProcessEnv, statisticsMs?: number }} Options
 */

/**
 * Finds a RabbitMQ or starts one: the one that RABBITMQ_URL names, one on this machine that lets guest in, one in Docker, one
 * of our own from installed programs, which are installed first if this is Debian and we may.
 * @param {Options} options
 * @returns {Promise<Broker>}
 */
export async function startRabbitMq(options) {
  const { env = process.env, ports, log } = options;
  if (env.RABBITMQ_URL) return useGiven(env.RABBITMQ_URL, env.RABBITMQ_MANAGEMENT_URL);
  if (ports?.amqp === undefined && ports?.management === undefined) {
    await stopLeftoverNode(options.dataDir, log); // else it would be found now, as somebody else's
    const found = (await useLocal(log)) ?? (await useDocker(log));
    if (found) return found;
  }
  return startOwnRabbitMq(options);
}

/**
 * A private node, whatever else there is on this machine.
 * @param {Options} options
 */
export async function startOwnRabbitMq({ dataDir, ports, log, statisticsMs }) {
  if (!findRabbitMq() && canInstallRabbitMq()) await installRabbitMq(log);
  const scripts = findRabbitMq();
  if (!scripts) throw new Failure('There is no RabbitMQ on this machine.', waysToRabbitMq());
  const node = await startPrivateNode({ scripts, dataDir, ports, statisticsMs, log });
  const remove = async () => {
    await node.kill9();
    rmSync(dataDir, { recursive: true, force: true, maxRetries: 10 });
  };
  return Object.assign(node, { where: `node of our own, localhost:${node.ports.amqp}`, remove });
}
