// Before the end: are the connections those of the beginning? After it: is nothing left, and has everybody ended in order?
import { setTimeout as sleep } from 'node:timers/promises';
import { inboxesOf } from './expectations.mjs';

/** @typedef {import('./trial.mjs').Trial} Trial */

/** The management API shows connections with some delay. */
const PATIENCE_MS = 10_000;

/**
 * Connections to the broker by service and purpose, such as `consumer publisher`.
 * @param {Trial} trial
 */
async function purposes(trial) {
  return purposesOf(await trial.broker.connections(trial.vhost));
}

/** @param {string[]} names of connections */
const purposesOf = (names) => names.map((name) => name.replace(/@\S+/, '')).sort();

/** What a process of a service holds, by role. */
const BY_ROLE = {
  relay: ['publisher', 'replay publisher', 'replay requests'],
  inbox: ['consumer', 'requests'],
};

/**
 * The connections that the processes which run now should have, no more and no less.
 * @param {Trial} trial
 */
function rightConnections(trial) {
  const running = Object.values(trial.services).filter(({ isRunning }) => isRunning);
  const all = running.flatMap(({ name, options }) => {
    const roles = (options.env.ROLES ?? 'api,relay,inbox,workers').split(',');
    const inboxes = roles.includes('inbox')
      ? Object.keys({ ...inboxesOf(name), ...trial.except.moreInboxes[name] })
      : [];
    return [
      ...(roles.includes('relay') ? BY_ROLE.relay : []),
      ...(roles.includes('inbox') ? BY_ROLE.inbox : []),
      ...inboxes.flatMap((inbox) => (inbox === name ? [] : `consumer ${inbox.slice(name.length + 1)}`)),
    ].map((purpose) => `${name} ${purpose}`);
  });
  return all.sort();
}

/**
 * @param {Trial} trial
 * @returns {Promise<string[]>} connections that are too many or too few
 */
export async function wrongConnections(trial) {
  const right = rightConnections(trial);
  let now = await purposes(trial);
  for (const deadline = Date.now() + PATIENCE_MS; String(now) !== String(right) && Date.now() < deadline;) {
    await sleep(250);
    now = await purposes(trial);
  }
  if (String(now) !== String(right)) now = purposesOf(await trial.broker.openConnections(trial.vhost));
  return String(now) === String(right) ? [] : [`leak: connections to RabbitMQ are [${now}], not [${right}]`];
}

/**
 * Stops everything as SIGTERM does.
 * @param {Trial} trial
 * @returns {Promise<string[]>} what is left, or has ended wrongly
 */
export async function stopAndLook(trial) {
  /** @type {string[]} */
  const problems = [];
  await Promise.all(
    Object.values(trial.services).map(async (service) => {
      if (!service.isRunning) return;
      const { code, signal } = await service.stop();
      if (code !== 0) problems.push(`leak: ${service.id} ended with ${signal ?? `code ${code}`} after SIGTERM`);
    }),
  );
  let left = await leftovers(trial);
  for (const deadline = Date.now() + PATIENCE_MS; left.length > 0 && Date.now() < deadline;) {
    await sleep(250);
    left = await leftovers(trial);
  }
  if (left.length > 0) left = await leftovers(trial, await trial.broker.openConnections(trial.vhost));
  return [...problems, ...left];
}

/**
 * @param {Trial} trial
 * @param {string[]} [connections] to the broker, if not those of the management API
 */
async function leftovers(trial, connections) {
  const open = connections ?? (await trial.broker.connections(trial.vhost));
  const left = open.map((name) => `leak: connection to RabbitMQ: ${name}`);
  for (const name of trial.databases.names) {
    const rows = await trial.rows(
      name,
      `select application_name as who, state from pg_stat_activity
       where datname = current_database() and application_name <> 'checker'`,
    );
    left.push(...rows.map(({ who, state }) => `leak: connection to the database of ${name}: ${who} (${state})`));
  }
  return left;
}
