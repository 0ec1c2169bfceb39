import { mkdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { Failure, describe } from '../../tools/infrastructure/failure.mjs';
import { removeWhatKilledRunsLeft } from '../../tools/infrastructure/for-tests.mjs';
import { rememberProcessesIn } from '../../tools/infrastructure/processes.mjs';
import { isStopping, stopAll, stopOnSignals } from '../../tools/start/shutdown.mjs';
import { colour, endSteps, print, step } from '../../tools/start/steps.mjs';
import { cases } from '../cases/comparisons.mjs';
import { measures } from '../cases/measures.mjs';
import { describePeers, installGolevelup } from '../cases/peers.mjs';
import { buildServices } from './build.mjs';
import { machine } from './machine.mjs';
import { measureOf } from './measure.mjs';
import { help, readOptions } from './options.mjs';
import { writeReport } from './report.mjs';
import { noiseOf, Run } from './run.mjs';
import { runDir, startServers } from './servers.mjs';
import { printTable } from './table.mjs';
import { percent } from './text.mjs';

/** @typedef {import('./options.mjs').Options} Options */
/** @typedef {import('./measure.mjs').Case} Case */

/** Others may use so much of the machine before the figures say more of them than of us. */
const NOISE = 0.1;

/** @param {string[]} args */
export async function main(args) {
  stopOnSignals({ code: 130, farewell: '' });
  process.once('exit', () => rmSync(runDir, { recursive: true, force: true, maxRetries: 5 }));
  try {
    const options = readOptions(args);
    if (options.help) process.stdout.write(help);
    else if (options.list) for (const { name, title } of cases) print(`${name}\n    ${title}`);
    else await bench(options);
  } catch (error) {
    if (isStopping()) return; // the signal's handler ends the process
    endSteps();
    console.error(`${colour('red', '✗')} ${describe(error)}`);
    process.exitCode = 1;
  }
  await stopAll();
  process.exit();
}

/** @param {Options} options */
async function bench(options) {
  const selection = select(options);
  if (selection.length === 0) throw new Failure('No case has such a name.', 'See: npm run bench -- --list');
  await removeWhatKilledRunsLeft();
  mkdirSync(runDir, { recursive: true });
  rememberProcessesIn(path.join(runDir, 'running.json'));
  await step('Build of the services', buildServices);
  const names = measuresOf(selection);
  const why = names.some((name) => measures[name]?.golevelup)
    ? await step('Peer with Nest 11', installGolevelup)
    : undefined;
  if (why) print(colour('yellow', `  golevelup is left out: ${why}`));
  const servers = await step('RabbitMQ and Postgres', startServers);
  const possible = names.filter((name) => !(why && measures[name]?.golevelup));
  const peers = describePeers(possible.some((name) => measures[name]?.golevelup));
  const about = { ...(await machine(servers, options.node)), peers };
  for (const line of [about.hardware, about.software, ...peers]) print(colour('gray', `  ${line}`));
  const run = new Run(servers, options);
  await run.measure(possible);
  printTable(selection, run.results, options);
  finish(run, why);
  if (!options.quick && options.only.length === 0) writeReport(selection, run, options, { ...about, golevelup: why });
  await servers.remove();
}

/** @param {Options} options @returns {Case[]} */
function select({ quick, only }) {
  const patterns = only.map((text) => new RegExp(`^${text.replace(/[^\w*-]/g, '\\$&').replaceAll('*', '.*')}$`));
  return cases
    .filter(({ name }) => patterns.length === 0 || patterns.some((pattern) => pattern.test(name)))
    .map((one) => ({ ...one, rows: quick ? one.rows.filter((row) => row.quick) : one.rows }))
    .filter(({ rows }) => rows.length > 0);
}

/** In the order of the table of measures, which puts next to each other what is compared. @param {Case[]} selection */
function measuresOf(selection) {
  const wanted = new Set(
    selection.flatMap(({ rows }) => rows.flatMap(({ ours, peer }) => [ours, peer ?? ours].map(measureOf))),
  );
  return Object.keys(measures).filter((name) => wanted.has(name));
}

/** @param {Run} run @param {string} [why] */
function finish(run, why) {
  const { failures } = run.results;
  if (why) print(colour('yellow', `golevelup was left out: ${why}`));
  for (const line of run.leftOut) print(colour('yellow', `left out: ${line}`));
  if ((run.othersUsed ?? 0) > NOISE)
    print(
      colour(
        'yellow',
        `Other programs used ${percent(run.othersUsed ?? 0)} of the machine meanwhile: repeat it when it is quiet.`,
      ),
    );
  else print(colour('gray', `Other programs used ${noiseOf(run)} meanwhile.`));
  if (failures.length === 0) return;
  print(`${colour('red', '✗')} ${failures.length} turns failed: ${failures.map(({ measure }) => measure).join(', ')}`);
  process.exitCode = 1;
}
