import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { describe } from './failure.mjs';
import { dataDir, outsideFolders } from './outside.mjs';
import { startPostgres } from './postgres.mjs';
import { endRemembered, killEverything, rememberProcessesIn } from './processes.mjs';
import { startOwnRabbitMq } from './rabbitmq.mjs';
import { isAlive } from './signals.mjs';

/** @typedef {{ rabbitmq: Awaited<ReturnType<typeof startOwnRabbitMq>>, postgres: Awaited<ReturnType<typeof startPostgres>> }} Servers */

/** @type {Promise<Servers> | undefined} */
let started;
/** @type {Servers | undefined} once they are ready */
let servers;

const testDir = () => path.join(dataDir, `test-${process.pid}`);

/**
 * Starts a RabbitMQ and a Postgres for this test run alone, on free ports, and tells the tests through the environment where
 * they are. Does nothing if the environment says so already.
 * @param {(line: string) => void} [log]
 */
export async function startTestInfrastructure(log = () => {}) {
  process.env.TEST_RUN ??= `${process.pid}_${Date.now().toString(36)}`; // template databases are those of this run
  if (started || process.env.TEST_RABBITMQ_URL) return started;
  started = start(log);
  try {
    const { rabbitmq, postgres } = await started;
    process.env.TEST_RABBITMQ_URL = rabbitmq.url;
    process.env.TEST_RABBITMQ_MANAGEMENT_URL = rabbitmq.managementUrl.replace(
      '//',
      `//${rabbitmq.user}:${rabbitmq.password}@`,
    );
    process.env.TEST_POSTGRES_URL = postgres.url;
    return started;
  } catch (error) {
    throw new Error(describe(error), { cause: error });
  }
}

/** @param {(line: string) => void} log */
async function start(log) {
  await removeWhatKilledRunsLeft();
  const dir = testDir();
  mkdirSync(dir, { recursive: true });
  rememberProcessesIn(path.join(dir, 'running.json'));
  const [rabbitmq, postgres] = await Promise.all([
    startOwnRabbitMq({
      dataDir: path.join(dir, 'rabbitmq'),
      ports: { amqp: 0, management: 0 },
      statisticsMs: 500,
      log,
    }),
    startPostgres({ dataDir: path.join(dir, 'postgres'), port: 0, log }),
  ]);
  servers = { rabbitmq, postgres };
  return servers;
}

export async function stopTestInfrastructure() {
  if (!started) return;
  // servers that are still starting are not waited for
  if (servers) await Promise.all([servers.rabbitmq.remove(), servers.postgres.remove()]);
  else await killEverything();
  started = undefined;
  rmSync(testDir(), { recursive: true, force: true, maxRetries: 5 });
}

/** Test runs that were killed together with their guardian. */
export async function removeWhatKilledRunsLeft() {
  for (const place of [dataDir, ...outsideFolders()].filter((folder) => existsSync(folder))) {
    for (const name of readdirSync(place)) {
      const pid = /^test-(\d+)(?:-|$)/.exec(name)?.[1];
      if (!pid || isAlive(Number(pid))) continue;
      await endRemembered(path.join(place, name, 'running.json'), () => {});
      rmSync(path.join(place, name), { recursive: true, force: true, maxRetries: 5 });
    }
  }
}
