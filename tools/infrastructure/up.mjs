// RabbitMQ and Postgres alone, for working by hand: node tools/infrastructure/up.mjs [folder]
// With --json, for programs: one line of JSON with the addresses, then commands from standard input, one a line
// ("kill rabbitmq", "start rabbitmq", "rabbitmqctl list_queues"), each answered by a line; the end of the
// input stops everything and removes the data.
import { mkdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { Failure, describe } from './failure.mjs';
import { dataDir } from './outside.mjs';
import { startPostgres } from './postgres.mjs';
import { endRemembered, killEverything, rememberProcessesIn, runBehind } from './processes.mjs';
import { startOwnRabbitMq } from './rabbitmq.mjs';
import { databases } from '../start/services.mjs';

const { values, positionals } = parseArgs({
  options: { json: { type: 'boolean', default: false }, only: { type: 'string' } },
  allowPositionals: true,
});
const dir = path.resolve(positionals[0] ?? path.join(dataDir, values.json ? `test-${process.pid}` : 'by-hand'));
const log = (/** @type {string} */ line) => console.error(line);

/** @type {{ rabbitmq?: Awaited<ReturnType<typeof startOwnRabbitMq>>, postgres?: Awaited<ReturnType<typeof startPostgres>> }} */
const servers = {};
let stopping = false;

try {
  mkdirSync(dir, { recursive: true });
  const list = path.join(dir, 'running.json');
  const pid = runBehind(list);
  if (pid) throw new Failure(`The servers of ${dir} are running already (pid ${pid}).`, `Stop them: kill ${pid}`);
  await endRemembered(list, log);
  rememberProcessesIn(list);
  const amqp = values.json ? { amqp: 0, management: 0 } : undefined;
  const options = {
    dataDir: path.join(dir, 'rabbitmq'),
    ports: amqp,
    statisticsMs: values.json ? 500 : undefined,
    log,
  };
  await Promise.all([
    values.only !== 'postgres' && startOwnRabbitMq(options).then((broker) => (servers.rabbitmq = broker)),
    values.only !== 'rabbitmq' &&
      startPostgres({ dataDir: path.join(dir, 'postgres'), port: values.json ? 0 : undefined, log }).then(
        (server) => (servers.postgres = server),
      ),
  ]);
} catch (error) {
  console.error(describe(error));
  await stop(1);
}
for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) process.on(signal, () => void stop());
const addresses = {
  RABBITMQ_URL: servers.rabbitmq?.url,
  RABBITMQ_MANAGEMENT_URL: servers.rabbitmq?.managementUrl,
  POSTGRES_URL: servers.postgres?.url,
};
if (values.json) await obey();
else await tell();

async function tell() {
  for (const { variable, database } of servers.postgres ? databases : []) {
    console.log(`${variable}=${await servers.postgres?.createDatabase(database)}`);
  }
  for (const [name, url] of Object.entries(addresses)) if (url) console.log(`${name}=${url}`);
  console.log(`Management UI: login guest/guest. Data in ${dir}. Ctrl-C stops both.`);
  setInterval(() => {}, 60_000);
}

async function obey() {
  console.log(JSON.stringify(addresses));
  for await (const line of createInterface({ input: process.stdin })) {
    const [verb = '', name = '', ...rest] = line.trim().split(/\s+/);
    try {
      console.log(JSON.stringify({ ok: true, ...(await perform(verb, name, rest)) }));
    } catch (error) {
      console.log(JSON.stringify({ ok: false, error: describe(error) }));
    }
  }
  await stop();
}

/**
 * @param {string} verb
 * @param {string} name
 * @param {string[]} rest
 */
async function perform(verb, name, rest) {
  if (verb === 'rabbitmqctl') return servers.rabbitmq?.rabbitmqctl([name, ...rest]);
  const server = name === 'rabbitmq' ? servers.rabbitmq : name === 'postgres' ? servers.postgres : undefined;
  if (!server) throw new Error(`no server "${name}"`);
  if (verb === 'kill') await server.kill9();
  else if (verb === 'start') await server.start();
  else throw new Error(`no command "${verb}"`);
  return { pid: server.pid };
}

async function stop(code = 0) {
  if (stopping) return;
  stopping = true;
  await Promise.all(Object.values(servers).map((server) => (values.json ? server.remove() : server.stop())));
  await killEverything(); // what was still starting
  if (values.json) rmSync(dir, { recursive: true, force: true });
  process.exit(code);
}
