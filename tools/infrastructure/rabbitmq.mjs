import { existsSync, rmSync } from 'node:fs';
import path from 'node:path';
import { Failure } from './failure.mjs';
import { installation, projectDir } from './outside.mjs';
import { answers } from './ports.mjs';
import { run } from './commands.mjs';
import { canInstallRabbitMq, findRabbitMq, installRabbitMq, waysToRabbitMq } from './rabbitmq-install.mjs';
import { startPrivateNode, stopLeftoverNode } from './rabbitmq-node.mjs';
import { api, apiAnswers, logIn } from './rabbitmq-probe.mjs';

/**
 * @typedef {{ url: string, managementUrl?: string, user: string, password: string, owned: boolean, where: string,
 *   stop: () => Promise<void> }} Broker
 *   `owned`: we started it and stop it; `where`: what it is, for people
 * @typedef {{ dataDir: string, ports?: { amqp?: number, management?: number }, log: (line: string) => void,
 *   env?: NodeJS.ProcessEnv, statisticsMs?: number }} Options
 */

const vhostName = `reactive-microservices-${installation}`;

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

/**
 * @param {string} urls one, or those of a cluster's nodes, separated by commas
 * @param {string | undefined} managementUrl
 * @returns {Promise<Broker>}
 */
async function useGiven(urls, managementUrl) {
  /** @type {unknown} */
  let failure;
  for (const url of urls.split(',').map((text) => text.trim())) {
    try {
      return { ...(await useNode(url, managementUrl)), url: urls };
    } catch (error) {
      failure ??= error;
    }
  }
  throw failure;
}

/**
 * @param {string} url
 * @param {string | undefined} managementUrl
 * @returns {Promise<Broker>}
 */
async function useNode(url, managementUrl) {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (!parsed || !/^amqps?:$/.test(parsed.protocol)) {
    throw new Failure(
      'RABBITMQ_URL is not an address of a broker.',
      'It looks like amqp://user:password@host:5672/vhost',
    );
  }
  const [user, password] = [
    decodeURIComponent(parsed.username) || 'guest',
    decodeURIComponent(parsed.password) || 'guest',
  ];
  const shown = `${parsed.hostname}:${parsed.port || (parsed.protocol === 'amqps:' ? 5671 : 5672)}`;
  const result = await logIn(url);
  if (result.outcome === 'unreachable') {
    throw new Failure(
      `No broker answers at ${shown} (RABBITMQ_URL): ${result.reason}`,
      'Start it, or unset RABBITMQ_URL.',
    );
  }
  if (result.outcome === 'refused') {
    throw new Failure(
      `The broker at ${shown} refused the user "${user}".`,
      'Correct user and password in RABBITMQ_URL.',
    );
  }
  if (result.outcome === 'no vhost') {
    const vhost = decodeURIComponent(parsed.pathname.slice(1)) || '/';
    throw new Failure(
      `The broker at ${shown} has no vhost "${vhost}", or "${user}" may not use it.`,
      `rabbitmqctl add_vhost ${vhost} && rabbitmqctl set_permissions -p ${vhost} ${user} '.*' '.*' '.*'`,
    );
  }
  const guess = managementUrl ?? `http://${parsed.hostname}:15672`;
  const reachable = managementUrl ?? ((await apiAnswers(guess, { user, password })) ? guess : undefined);
  return {
    url,
    managementUrl: reachable,
    user,
    password,
    owned: false,
    where: `${shown}, from RABBITMQ_URL`,
    stop: async () => {},
  };
}

/**
 * @param {(line: string) => void} log
 * @returns {Promise<Broker | undefined>} a broker that runs on this machine anyway, with a vhost of this installation's own
 */
async function useLocal(log) {
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
  return guestOf(
    '127.0.0.1',
    5672,
    `localhost:5672 (RabbitMQ ${login.version}, found running)`,
    false,
    async () => {},
    log,
  );
}

/** @param {string} version */
function isRecent(version) {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major > 3 || (major === 3 && minor >= 10);
}

/**
 * @param {string} host
 * @param {number} port
 * @param {string} where
 * @param {boolean} owned
 * @param {() => Promise<void>} stop
 * @param {(line: string) => void} log
 * @returns {Promise<Broker>}
 */
async function guestOf(host, port, where, owned, stop, log) {
  const guest = { user: 'guest', password: 'guest' };
  const base = `amqp://guest:guest@${host}:${port}`;
  const managementUrl = `http://${host}:15672`;
  const made = await api(managementUrl, guest, `vhosts/${vhostName}`, { method: 'PUT', body: {} });
  const all = { configure: '.*', write: '.*', read: '.*' };
  if (made.status >= 200 && made.status < 300) {
    await api(managementUrl, guest, `permissions/${vhostName}/guest`, { method: 'PUT', body: all });
    return { url: `${base}/${vhostName}`, managementUrl, ...guest, owned, where: `${where}, vhost ${vhostName}`, stop };
  }
  log('its management API does not answer, so its default vhost "/" is used, together with whoever else uses it');
  return { url: base, ...guest, owned, where: `${where}, vhost /`, stop };
}

/**
 * @param {(line: string) => void} log
 * @returns {Promise<Broker | undefined>} the broker of docker-compose.yml
 */
async function useDocker(log) {
  const options = { cwd: projectDir, env: process.env };
  if (!existsSync(path.join(projectDir, 'docker-compose.yml'))) return undefined;
  if ((await run('docker', ['info'], { ...options, timeoutMs: 10_000 })).code !== 0) return undefined;
  log('starting the container rabbitmq of docker-compose.yml');
  const compose = (/** @type {string[]} */ ...args) => run('docker', ['compose', ...args], options);
  const wasRunning = (await compose('ps', '--status', 'running', '-q', 'rabbitmq')).stdout.trim() !== '';
  const up = await compose('up', '-d', '--wait', 'rabbitmq');
  const stop = async () => void (wasRunning || (await compose('stop', 'rabbitmq')));
  const port = Number(/:(\d+)\s*$/.exec((await compose('port', 'rabbitmq', '5672')).stdout)?.[1]);
  if (up.code === 0 && port && (await logIn(`amqp://guest:guest@127.0.0.1:${port}`)).outcome === 'accepted') {
    return guestOf('127.0.0.1', port, `container rabbitmq, localhost:${port}`, !wasRunning, stop, log);
  }
  await stop();
  log(`Docker could not give a broker (${up.stderr.trim().split('\n').at(-1)}); looking further`);
  return undefined;
}
