import { existsSync } from 'node:fs';
import path from 'node:path';
import { run } from './commands.mjs';
import { installation, projectDir } from './outside.mjs';
import { answers } from './ports.mjs';
import { api, logIn } from './rabbitmq-probe.mjs';

/** @typedef {import('./rabbitmq.mjs').Broker} Broker */

const vhostName = `reactive-microservices-${installation}`;

/**
 * @param {(line: string) => void} log
 * @returns {Promise<Broker | undefined>} a broker that runs on this machine anyway, with a vhost of this installation's own
 */
export async function useLocal(log) {
  if (!(await answers(5672))) return undefined;
  const login = await logIn('amqp://guest:guest@127.0.0.1:5672');
  if (login.outcome !== 'accepted') {
    log(`what listens on port 5672 does not accept guest/guest (${login.reason}); looking further`);
    return undefined;
  }
  if (!/rabbitmq/i.test(login.product) || !isRecent(login.version)) {
    log(`${login.product} ${login.version} on port 5672 is not RabbitMQ 3.10 or later; looking further`);
    return undefined;
  }
  const where = `localhost:5672 (RabbitMQ ${login.version}, found running)`;
  return withOwnVhost({ port: 5672, password: 'guest', where, owned: false, stop: async () => {} }, log);
}

/** @param {string} version */
function isRecent(version) {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major > 3 || (major === 3 && minor >= 10);
}

/**
 * @param {(line: string) => void} log
 * @returns {Promise<Broker | undefined>} the broker of docker-compose.yml
 */
export async function useDocker(log) {
  const options = { cwd: projectDir, env: process.env };
  if (!existsSync(path.join(projectDir, 'docker-compose.yml'))) return undefined;
  if ((await run('docker', ['info'], { ...options, timeoutMs: 10_000 })).code !== 0) return undefined;
  log('starting the container rabbitmq of docker-compose.yml');
  const compose = (/** @type {string[]} */ ...args) => run('docker', ['compose', ...args], options);
  const wasRunning = (await compose('ps', '--status', 'running', '-q', 'rabbitmq')).stdout.trim() !== '';
  const up = await compose('up', '-d', '--wait', 'rabbitmq');
  const stop = async () => void (wasRunning || (await compose('stop', 'rabbitmq')));
  const port = Number(/:(\d+)\s*$/.exec((await compose('port', 'rabbitmq', '5672')).stdout)?.[1]);
  const password = process.env.RABBITMQ_PASSWORD || 'guest';
  const url = `amqp://guest:${encodeURIComponent(password)}@127.0.0.1:${port}`;
  if (up.code === 0 && port && (await logIn(url)).outcome === 'accepted') {
    const where = `container rabbitmq, localhost:${port}`;
    return withOwnVhost({ port, password, where, owned: !wasRunning, stop }, log);
  }
  await stop();
  log(`Docker could not give a broker (${up.stderr.trim().split('\n').at(-1)}); looking further`);
  return undefined;
}

/**
 * A vhost of this installation's own, so that it shares queues with nobody.
 * @param {{ port: number, password: string, where: string, owned: boolean, stop: () => Promise<void> }} broker
 * @param {(line: string) => void} log
 * @returns {Promise<Broker>}
 */
async function withOwnVhost({ port, password, where, owned, stop }, log) {
  const credentials = { user: 'guest', password };
  const base = `amqp://guest:${encodeURIComponent(password)}@127.0.0.1:${port}`;
  const managementUrl = 'http://127.0.0.1:15672';
  const made = await api(managementUrl, credentials, `vhosts/${vhostName}`, { method: 'PUT', body: {} });
  if (made.status >= 200 && made.status < 300) {
    const all = { configure: '.*', write: '.*', read: '.*' };
    await api(managementUrl, credentials, `permissions/${vhostName}/guest`, { method: 'PUT', body: all });
    const url = `${base}/${vhostName}`;
    // the management API on the usual port may belong to another broker than the one we have logged in to
    if ((await logIn(url)).outcome === 'accepted') {
      return { url, managementUrl, ...credentials, owned, where: `${where}, vhost ${vhostName}`, stop };
    }
  }
  log('its management API does not answer, so its default vhost "/" is used, together with whoever else uses it');
  return { url: base, ...credentials, owned, where: `${where}, vhost /`, stop };
}
