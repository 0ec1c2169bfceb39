import { Failure } from './failure.mjs';
import { apiAnswers, logIn } from './rabbitmq-probe.mjs';

/** @typedef {import('./rabbitmq.mjs').Broker} Broker */

/**
 * @param {string} urls one, or those of a cluster's nodes, separated by commas
 * @param {string | undefined} managementUrl
 * @returns {Promise<Broker>}
 */
export async function useGiven(urls, managementUrl) {
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
  if (!parsed?.hostname || !/^amqps?:$/.test(parsed.protocol)) {
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
