import { mkdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { Failure, describe } from '../../../tools/infrastructure/failure.mjs';
import { removeWhatKilledRunsLeft } from '../../../tools/infrastructure/for-tests.mjs';
import { Rank, endEverything, rememberProcessesIn } from '../../../tools/infrastructure/processes.mjs';
import { isStopping, onStop, stopAll, stopOnSignals } from '../../../tools/start/shutdown.mjs';
import { colour, print, step, stopSpinning } from '../../../tools/start/steps.mjs';
import { sabotages } from '../sabotages.mjs';
import { scenarios } from '../scenarios/index.mjs';
import { buildServices } from './build.mjs';
import { help, readOptions, sabotageHelp } from './options.mjs';
import { Pool } from './pool.mjs';
import { writeReport } from './report.mjs';
import { runSabotages } from './sabotage.mjs';
import { RunRecord } from './run-record.mjs';
import { runDir } from './servers.mjs';
import { unmountSmallDisks } from './small-disk.mjs';
import { Suite } from './suite.mjs';

/** @typedef {import('./options.mjs').Options} Options */

/** The fault suite. @param {string[]} args */
export const main = (args) =>
  orderly(async () => {
    const options = readOptions(args);
    if (options.help) process.stdout.write(help);
    else if (options.list) list(options);
    else await run(options);
  });

/** The fault suite with guards switched off. @param {string[]} args */
export const sabotage = (args) =>
  orderly(async () => {
    const options = readOptions(args.some((arg) => arg.startsWith('--events')) ? args : [...args, '--events', '1000']);
    const selection = sabotages.filter(({ guard }) => isChosen(guard, options));
    if (options.help) process.stdout.write(sabotageHelp);
    else if (options.list) for (const { guard, what } of selection) print(`${guard}\n    ${what}`);
    else await runWithoutGuards(options, selection);
  });

/** @param {() => Promise<void>} work */
async function orderly(work) {
  stopOnSignals({ code: 130, farewell: 'Interrupted.' });
  onStop(Rank.support, async () => {
    await endEverything();
    await unmountSmallDisks();
    rmSync(runDir, { recursive: true, force: true, maxRetries: 5 });
  });
  try {
    await work();
  } catch (error) {
    if (isStopping()) return; // it fails because everything is being stopped, and that ends the process
    stopSpinning();
    console.error(`${colour('red', '✗')} ${describe(error)}`);
    process.exitCode = 1;
  }
  if (isStopping()) return;
  await stopAll();
  process.exit();
}

/** @param {string} name @param {Options} options */
function isChosen(name, { only }) {
  const patterns = only.map(
    (text) => new RegExp(text.includes('*') ? `^${text.replaceAll('*', '.*')}$` : text.replace(/[^\w-]/g, '\\$&')),
  );
  return patterns.length === 0 || patterns.some((pattern) => pattern.test(name));
}

/** @param {Options} options */
const chosen = (options) =>
  scenarios.filter((scenario) => (!options.short || scenario.short) && isChosen(scenario.name, options));

/** @param {Options} options */
function list(options) {
  for (const { name, what, short } of chosen(options)) print(`${name}${short ? ' (short form)' : ''}\n    ${what}`);
}

/** @param {Options} options */
async function run(options) {
  const selection = chosen(options);
  if (selection.length === 0) throw new Failure('No scenario has such a name.', 'See: npm run test:faults -- --list');
  const record = options.resume ? RunRecord.resume(options.resume) : RunRecord.begin(options, options.results);
  const { settings } = record;
  await prepare();
  const pools = Array.from({ length: settings.atOnce }, (_, index) => new Pool(`pool-${index + 1}`));
  const versions = () => pools.find((pool) => pool.versions)?.versions ?? record.stored.versions;
  const suite = new Suite(pools, { ...options, ...settings, onResult: (result) => record.add(result, versions()) });
  await suite.run(record.open(selection));
  if (isStopping()) return;
  record.stored.leftOut = suite.leftOut;
  record.save();
  if (options.report) await writeReport(record.stored);
  await Promise.all(pools.map((pool) => pool.remove()));
  summarize(record.results, settings);
}

/** @param {readonly import('./types.js').Result[]} results @param {import('./run-record.mjs').Settings} settings */
function summarize(results, { events, seed }) {
  const failed = results.filter(({ ok }) => !ok);
  const total = results.reduce((sum, result) => sum + result.events, 0);
  print('');
  if (failed.length === 0) {
    print(
      `${colour('green', '✓')} ${results.length} scenarios, ${total} events: lost 0, duplicated 0, out of order 0, unexpected 0`,
    );
    return;
  }
  print(
    `${colour('red', '✗')} ${failed.length} of ${results.length} scenarios failed: ${failed.map(({ scenario }) => scenario).join(', ')}`,
  );
  print(`  repeat one: npm run test:faults -- --only ${failed[0]?.scenario} --events ${events} --seed ${seed}`);
  process.exitCode = 1;
}

/** @param {Options} options @param {typeof sabotages} selection */
async function runWithoutGuards(options, selection) {
  if (selection.length === 0) throw new Failure('No guard has such a name.', 'See: npm run test:sabotage -- --list');
  await prepare();
  const pool = new Pool();
  print(`${selection.length} guards, ${options.events} events each, seed ${options.seed}`);
  const failed = await runSabotages(pool, options, selection);
  if (isStopping()) return;
  await pool.remove();
  print('');
  if (failed.length === 0)
    return print(`${colour('green', '✓')} ${selection.length} guards were switched off, each was missed`);
  print(`${colour('red', '✗')} not missed: ${failed.join(', ')}`);
  process.exitCode = 1;
}

async function prepare() {
  await removeWhatKilledRunsLeft();
  mkdirSync(runDir, { recursive: true });
  rememberProcessesIn(path.join(runDir, 'running.json'));
  await step('Build of the services', buildServices);
}
