import { Rank } from '../infrastructure/processes.mjs';
import { banner } from './banner.mjs';
import { build, isBuilt } from './build.mjs';
import { tellWhereEverythingIs } from './addresses.mjs';
import { byValue } from './given.mjs';
import { findDatabases, findRabbitMq } from './servers.mjs';
import { serviceProcess } from './service-process.mjs';
import { acquaintances, databases, services } from './services.mjs';
import { onStop } from './shutdown.mjs';
import { print, step } from './steps.mjs';
import { supervise } from './supervise.mjs';
import { watch } from './watch.mjs';

/** @typedef {ReturnType<typeof import('./options.mjs').readOptions>} Options */

/**
 * Starts everything, and returns when it works.
 * @param {Options} options
 */
export async function startSystem(options) {
  const env = environment(options);
  const running = services.map((service, index) => serviceProcess(service, index, env, options.watch));
  onStop(Rank.service, () => Promise.all(running.map(({ stop }) => stop())));
  const programs = Promise.all(services.map((service) => makeProgram(service, options.watch)));
  const findingDatabases = findDatabases(options).then(
    ({ urls, server }) => (server && keep('Postgres', server), urls),
  );
  let isWaiting = true;
  const warmUp = async () => {
    await Promise.all([programs, findingDatabases]);
    // One after the other: RabbitMQ, which takes longest, needs the other processor.
    for (const service of running) if (isWaiting) await service.warmUp();
  };
  warmUp().catch(() => {}); // whatever it is, the start itself meets it
  const [broker, addresses, watchers] = await Promise.all([
    findRabbitMq(options).then((found) => keep('RabbitMQ', found)),
    findingDatabases,
    programs,
  ]);
  isWaiting = false;
  const found = { ...addresses, RABBITMQ_URL: broker.url };
  tellWhereEverythingIs({ ...env, ...found });
  await step('Services', async ({ result }) => {
    await Promise.all(running.map((service) => service.start(found)));
    await Promise.all(running.map((service) => service.ready()));
    result(running.map(({ name, url }) => `${name} on port ${new URL(url).port}`).join(', '));
  });
  running.forEach((service, index) => {
    const { restart, stop } = supervise(service.name, service);
    onStop(Rank.service, stop);
    watchers[index]?.(restart);
    service.showOutput();
  });
  print(banner({ urls: Object.fromEntries(running.map(({ name, url }) => [name, url])), broker }));
}

/**
 * Stops a server with the rest, if it is ours, and starts it again if it ends by itself.
 * @template {{ stop: () => Promise<unknown>, start?: () => Promise<unknown>, exited?: Promise<any> | undefined }} S
 * @param {string} name
 * @param {S} server
 * @returns {S}
 */
function keep(name, server) {
  const { start } = server;
  const stop = start ? supervise(name, { exited: () => server.exited, start, stop: server.stop }).stop : server.stop;
  onStop(Rank.server, stop);
  return server;
}

/**
 * @param {import('./services.mjs').Service} service
 * @param {boolean} isWatched
 * @returns {Promise<((changed: () => Promise<void>) => void) | undefined>}
 */
async function makeProgram(service, isWatched) {
  if (service.entry) return undefined;
  const title = `Build of ${service.name}`;
  if (isWatched) return step(title, () => watch(service));
  if (!isBuilt(service)) await step(title, () => build(service));
  return undefined;
}

/**
 * What the services find in their environment besides the addresses of their servers; what is set already wins where it is only
 * a preference.
 * @param {Options} options
 * @returns {NodeJS.ProcessEnv}
 */
function environment({ ports }) {
  return {
    HOST: '127.0.0.1',
    LOG_FORMAT: 'pretty',
    ...(process.stdout.isTTY && !process.env.NO_COLOR && { FORCE_COLOR: '1' }),
    ...acquaintances(ports),
    ...process.env,
    ...byValue(['RABBITMQ_URL', 'PAYMENT_WEBHOOK_SECRET', ...databases.map(({ variable }) => variable)]),
    ...Object.fromEntries(services.map(({ name, prefix }) => [`${prefix}_PORT`, String(ports[name])])),
  };
}
