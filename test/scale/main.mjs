// Measures a large system: a log of ten million events in a million streams, and a million pending timers.
import { setTimeout as sleep } from 'node:timers/promises';
import { build, isBuilt } from '../../tools/start/build.mjs';
import { services } from '../../tools/start/services.mjs';
import { onStop, stopAll, stopOnSignals } from '../../tools/start/shutdown.mjs';
import { Rank } from '../../tools/infrastructure/processes.mjs';
import { measureBooks } from './books.mjs';
import { fillInbox, fillLog } from './fill.mjs';
import { startSystem } from './system.mjs';
import { measureTimers } from './timers.mjs';

const HELP = `Usage: npm run test:scale [-- --events 10000000 --streams 1000000 --timers 1000000]

Fills the databases of both services, runs them, and prints what the books and the timers cost by pg_stat_statements. Fails if a
look at the books takes more than 20 ms of database time, or if timers are slower with a million others pending. Takes some ten
minutes and 8 GB of disk.
`;

/** @typedef {import('./system.mjs').System} System */

const failures = /** @type {string[]} */ ([]);

/** @param {boolean} holds @param {string} what */
export function expect(holds, what) {
  console.log(`${holds ? '✓' : '✗'} ${what}`);
  if (!holds) failures.push(what);
}

/** @param {string[]} args */
export async function main(args) {
  if (args.includes('--help')) return void process.stdout.write(HELP);
  const number = (/** @type {string} */ name, /** @type {number} */ otherwise) =>
    args.includes(name) ? Number(args[args.indexOf(name) + 1]) : otherwise;
  const size = { events: number('--events', 10_000_000), streams: number('--streams', 1_000_000) };
  stopOnSignals({ code: 130, farewell: 'The measurement was interrupted.' });
  for (const service of services.filter(({ entry }) => !entry)) if (!isBuilt(service)) await build(service);
  const system = await startSystem();
  onStop(Rank.server, () => system.remove());
  try {
    await fill(system, size);
    await run(system, number('--timers', 1_000_000));
  } catch (error) {
    failures.push(String(error));
    console.error(error);
  }
  await stopAll();
  console.log(failures.length === 0 ? 'All as promised.' : `${failures.length} not as promised.`);
  process.exit(failures.length === 0 ? 0 : 1);
}

/** @param {System} system @param {import('./fill.mjs').Size} size */
async function fill(system, size) {
  const started = performance.now();
  for (const service of ['users', 'orders']) await system.prepare(service);
  // Reactions have been there since the beginning, or they would be refused later: they would miss what was before them.
  await (await system.start('orders')).stop();
  await fillLog((sql) => system.rows('users', sql), size);
  const [{ epoch }] = await system.rows('users', 'select epoch from messaging.log');
  await fillInbox((sql) => system.rows('orders', sql), { ...size, epoch });
  for (const service of ['users', 'orders']) await system.rows(service, 'vacuum analyze');
  await system.rows('users', 'checkpoint');
  const seconds = Math.round((performance.now() - started) / 1000);
  console.log(`${size.events} events in ${size.streams} streams, filled in ${seconds} s`);
}

/** @param {System} system @param {number} timers */
async function run(system, timers) {
  const users = await system.start('users');
  const orders = await system.start('orders');
  await sleep(20_000); // the first looks after a start
  await measureBooks(system, users.url);
  await measureTimers(system, timers);
  await Promise.all([users.stop(), orders.stop()]);
}
