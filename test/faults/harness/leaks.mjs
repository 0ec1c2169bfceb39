// Before the end: are connections and consumers as many as they should be? After it: is nothing left, and has everybody ended in order?
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

/** @param {import('./service.mjs').Service} service */
const rolesOf = ({ options }) => (options.env.ROLES ?? 'api,relay,inbox,workers').split(',');

/** @param {Trial} trial @param {string} name of the service */
const inboxNames = (trial, name) => Object.keys({ ...inboxesOf(name), ...trial.except.moreInboxes[name] });

/**
 * The connections that the processes which run now should have, no more and no less.
 * @param {Trial} trial
 */
function rightConnections(trial) {
  const running = Object.values(trial.services).filter(({ isRunning }) => isRunning);
  const all = running.flatMap((service) => {
    const { name } = service;
    const roles = rolesOf(service);
    const inboxes = roles.includes('inbox') ? inboxNames(trial, name) : [];
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
async function wrongConnections(trial) {
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
 * What one process may have open at most, by the end of `application_name`; see where the pools are opened.
 * @param {Trial} trial @param {import('./service.mjs').Service} service
 * @returns {Record<string, number>}
 */
function poolsOf(trial, { name, options }) {
  const inboxes = inboxNames(trial, name).length;
  return {
    '': Number(options.env.DATABASE_POOL_SIZE ?? 16) + 1, // one more for groups of commands
    ...{ operations: 3, ops: 3 },
    ...{ relay: 2, 'relay lock': 1, replay: 2, 'books keeper': 1, timers: 1 },
    ...{ inbox: 4, books: 2, workers: inboxes * 4 + 2 },
  };
}

/**
 * @param {Trial} trial
 * @returns {Promise<string[]>} pools with more connections to the database than their processes may have
 */
async function overfullPools(trial) {
  const problems = [];
  for (const name of trial.databases.names) {
    const running = Object.values(trial.services).filter((one) => one.name === name && one.isRunning);
    const rows = await trial.rows(
      name,
      `select application_name as who, count(*)::int as has from pg_stat_activity
       where datname = current_database() and application_name <> 'checker' and backend_type = 'client backend' group by 1`,
    );
    for (const { who, has } of rows) {
      const pool = who === name ? '' : who.replace(`${name} `, '');
      const may = running.reduce((sum, service) => sum + (poolsOf(trial, service)[pool] ?? 0), 0);
      if (has > may)
        problems.push(`leak: ${has} connections to the database of ${name} as "${who}", not at most ${may}`);
    }
  }
  return problems;
}

/**
 * @param {Trial} trial
 * @returns {Promise<string[]>} queues that a process listens to twice, or not at all, and those in which something is left
 */
async function wrongQueues(trial) {
  const problems = [];
  /** @type {Map<string, Awaited<ReturnType<typeof trial.broker.queuesNow>>[number]>} */
  let queues;
  try {
    queues = new Map((await trial.broker.queuesNow(trial.vhost)).map((queue) => [queue.name, queue]));
  } catch (error) {
    return [`leak: the queues do not tell what is in them: ${/** @type {Error} */ (error).message}`]; // without a leader
  }
  for (const name of trial.names) {
    const running = Object.values(trial.services).filter((one) => one.name === name && one.isRunning);
    const right = running.filter((service) => rolesOf(service).includes('inbox')).length;
    for (const inbox of inboxNames(trial, name)) {
      const queue = `${name}.inbox${inbox.slice(name.length)}`;
      for (const one of [queue, `${queue}.dead`]) {
        const { ready = 0, unacknowledged = 0, consumers = 0 } = queues.get(one) ?? {};
        const left = ready + unacknowledged;
        if (left > 0 && right > 0) problems.push(`leak: ${left} message(s) in ${one}`);
        if (consumers !== right)
          problems.push(`leak: ${consumers} consumers of ${one}, not one of each of ${right} process(es)`);
      }
    }
  }
  return problems;
}

/**
 * While everything runs, at rest.
 * @param {Trial} trial
 * @returns {Promise<string[]>} what there is too much of, or too little
 */
export async function wrongWhileRunning(trial) {
  const look = async () => [...(await overfullPools(trial)), ...(await wrongQueues(trial))];
  let problems = await look();
  for (const deadline = Date.now() + PATIENCE_MS; problems.length > 0 && Date.now() < deadline;) {
    await sleep(250);
    problems = await look();
  }
  return [...(await wrongConnections(trial)), ...problems];
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
