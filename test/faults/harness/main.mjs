import { mkdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { Failure, describe } from '../../../tools/infrastructure/failure.mjs';
import { removeWhatKilledRunsLeft } from '../../../tools/infrastructure/for-tests.mjs';
import { endEverything, killEverything, rememberProcessesIn } from '../../../tools/infrastructure/processes.mjs';
import { colour, print, step, stopSpinning } from '../../../tools/start/steps.mjs';
import { scenarios } from '../scenarios/index.mjs';
import { buildServices } from './build.mjs';
import { help, readOptions } from './options.mjs';
import { Pool } from './pool.mjs';
import { writeReport } from './report.mjs';
import { runDir } from './servers.mjs';
import { Suite } from './suite.mjs';

/** @typedef {import('./options.mjs').Options} Options */

/** @param {string[]} args */
export async function main(args) {
  stopOnSignals();
  try {
    const options = readOptions(args);
    if (options.help) process.stdout.write(help);
    else if (options.list) list(options);
    else await run(options);
  } catch (error) {
    stopSpinning();
    console.error(`${colour('red', '✗')} ${describe(error)}`);
    process.exitCode = 1;
  } finally {
    await endEverything();
    rmSync(runDir, { recursive: true, force: true, maxRetries: 5 });
  }
  process.exit();
}

/** @param {Options} options */
function chosen({ only, short }) {
  const patterns = only.map(
    (text) => new RegExp(text.includes('*') ? `^${text.replaceAll('*', '.*')}$` : text.replace(/[^\w-]/g, '\\$&')),
  );
  return scenarios.filter(
    (scenario) =>
      (!short || scenario.short) && (patterns.length === 0 || patterns.some((one) => one.test(scenario.name))),
  );
}

/** @param {Options} options */
function list(options) {
  for (const { name, what, short } of chosen(options)) print(`${name}${short ? ' (short form)' : ''}\n    ${what}`);
}

/** @param {Options} options */
async function run(options) {
  const selection = chosen(options);
  if (selection.length === 0) throw new Failure('No scenario has such a name.', 'See: npm run test:faults -- --list');
  await removeWhatKilledRunsLeft();
  mkdirSync(runDir, { recursive: true });
  rememberProcessesIn(path.join(runDir, 'running.json'));
  await step('Build of the services', buildServices);
  const pool = new Pool();
  const suite = new Suite(pool, options);
  suite.announce(selection);
  const started = Date.now();
  const results = await suite.run(selection);
  const seconds = (Date.now() - started) / 1_000;
  if (options.report) writeReport(results, { ...options, versions: await pool.versions(), seconds });
  await pool.remove();
  const failed = results.filter(({ ok }) => !ok);
  const events = results.reduce((sum, result) => sum + result.events, 0);
  print('');
  if (failed.length === 0) {
    print(
      `${colour('green', '✓')} ${results.length} scenarios, ${events} events: lost 0, duplicated 0, out of order 0, unexpected 0`,
    );
    return;
  }
  print(
    `${colour('red', '✗')} ${failed.length} of ${results.length} scenarios failed: ${failed.map(({ scenario }) => scenario).join(', ')}`,
  );
  print(
    `  repeat one: npm run test:faults -- --only ${failed[0]?.scenario} --events ${options.events} --seed ${options.seed}`,
  );
  process.exitCode = 1;
}

function stopOnSignals() {
  let stopping = false;
  for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) {
    process.on(signal, () => {
      if (!stopping) print(colour('gray', '\nStopping …'));
      const end = stopping ? killEverything() : endEverything();
      stopping = true;
      void end.finally(() => {
        rmSync(runDir, { recursive: true, force: true, maxRetries: 5 });
        process.exit(130);
      });
    });
  }
  // A closed terminal or pipe is no reason to fail.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});
}
