import { statfsSync } from 'node:fs';
import path from 'node:path';
import { Failure, describe } from '../infrastructure/failure.mjs';
import { requireUnused } from '../infrastructure/in-use.mjs';
import { dataDir, removeAllData } from '../infrastructure/outside.mjs';
import { requireFree } from '../infrastructure/ports.mjs';
import { endRemembered, rememberProcessesIn } from '../infrastructure/processes.mjs';
import { areDependenciesFresh, installDependencies } from './dependencies.mjs';
import { takeLock } from './lock.mjs';
import { readOptions } from './options.mjs';
import { requireAddresses } from './servers.mjs';
import { requireKnownExamples, services } from './services.mjs';
import { isStopping, stopAll, stopOnSignals } from './shutdown.mjs';
import { colour, print, step, endSteps } from './steps.mjs';
import { startSystem } from './system.mjs';

const processList = path.join(dataDir, 'running.json');

/** @param {string[]} args */
export async function main(args) {
  stopOnSignals({ code: 0, farewell: 'The data are in .data/ for the next start.' });
  try {
    await start(args);
  } catch (error) {
    if (isStopping()) return;
    endSteps();
    console.error(`${colour('red', '✗')} ${describe(error)}`);
    await stopAll();
    process.exit(1);
  }
}

/** @param {string[]} args */
async function start(args) {
  requireKnownExamples();
  const options = readOptions(args);
  if (options.help) return void process.stdout.write(options.help);
  requirePlatform();
  if (!options.infra) requireAddresses();
  takeLock();
  requireDisk();
  await endRemembered(processList, print);
  rememberProcessesIn(processList);
  for (const { name, prefix } of services) {
    const remedy = `npm start -- --${name}-port <port>   (or set ${prefix}_PORT)`;
    await requireFree(options.ports[name] ?? 0, { what: name, remedy });
  }
  if (options.fresh) {
    requireUnused(); // tests, say
    removeAllData(print, ['start.lock']);
  }
  if (!areDependenciesFresh()) await step('Dependencies', ({ progress }) => installDependencies(progress));
  await startSystem(options);
}

function requirePlatform() {
  if (process.platform !== 'win32') return;
  throw new Failure('This does not run on Windows itself.', 'Use WSL 2, or: docker compose up --build --wait');
}

function requireDisk() {
  const { bavail, bsize } = statfsSync(dataDir);
  const megabytes = Math.floor((bavail * bsize) / 1e6);
  const needed = areDependenciesFresh() ? 300 : 1000; // RabbitMQ stops taking messages below 200
  if (megabytes >= needed) return;
  throw new Failure(
    `Only ${megabytes} MB of disk are free in ${dataDir}; ${needed} MB are needed.`,
    'Free some space, then try again.',
  );
}
