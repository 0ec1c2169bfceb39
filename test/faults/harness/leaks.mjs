// Before the end: are the connections those of the beginning? After it: is nothing left, and has everybody ended in order?
import { setTimeout as sleep } from 'node:timers/promises';

/** @typedef {import('./trial.mjs').Trial} Trial */

/** The management API shows connections with some delay. */
const PATIENCE_MS = 10_000;

/**
 * Connections to the broker by service and purpose, such as `consumer publisher`.
 * @param {Trial} trial
 */
export async function purposes(trial) {
  const names = await trial.broker.connections(trial.vhost);
  return names.map((name) => name.replace(/@\S+/, '')).sort();
}

/**
 * @param {Trial} trial
 * @param {string[]} baseline
 * @returns {Promise<string[]>} what differs from the beginning
 */
export async function changedConnections(trial, baseline) {
  let now = await purposes(trial);
  for (const deadline = Date.now() + PATIENCE_MS; String(now) !== String(baseline) && Date.now() < deadline;) {
    await sleep(250);
    now = await purposes(trial);
  }
  return String(now) === String(baseline) ? [] : [`leak: connections to RabbitMQ are [${now}], at first [${baseline}]`];
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
  return [...problems, ...left];
}

/** @param {Trial} trial */
async function leftovers(trial) {
  const left = (await trial.broker.connections(trial.vhost)).map((name) => `leak: connection to RabbitMQ: ${name}`);
  for (const name of Object.keys(trial.databases)) {
    const rows = await trial.rows(
      name,
      `select application_name as who, state from pg_stat_activity
       where datname = current_database() and application_name <> 'checker'`,
    );
    left.push(...rows.map(({ who, state }) => `leak: connection to the database of ${name}: ${who} (${state})`));
  }
  return left;
}
