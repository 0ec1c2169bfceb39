// `npm test`: sets up for itself, checks and tests everything, stops everything. See --help.
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { buildServices } from '../test/faults/harness/build.mjs';
import { run } from './infrastructure/commands.mjs';
import { describe } from './infrastructure/failure.mjs';
import { startTestInfrastructure, stopTestInfrastructure } from './infrastructure/for-tests.mjs';
import { dataDir, projectDir } from './infrastructure/outside.mjs';
import { Rank, startProcess } from './infrastructure/processes.mjs';
import { build, isBuilt } from './start/build.mjs';
import { areDependenciesFresh, installDependencies, npm } from './start/dependencies.mjs';
import { services } from './start/services.mjs';
import { isStopping, onStop, stopAll, stopOnSignals } from './start/shutdown.mjs';
import { colour, print, step, stopSpinning } from './start/steps.mjs';

const help = `Usage: npm test -- [--no-checks] [--no-faults] [arguments for Jest]

Installs dependencies if they are stale, starts a RabbitMQ and a Postgres for this run alone, then checks format, lint and
types, builds both services, runs all tests and the short form of the fault suite. Arguments go to Jest, and then the fault
suite is left out: npm test -- --no-checks round-trip
`;

/** @typedef {[title: string, work: () => Promise<unknown>]} Check */

/** The longest first. @type {Check[]} */
const scripts = [
  ['Lint', () => runScript('lint')],
  ['Types', () => runScript('typecheck')],
  ['Format', () => runScript('format:check')],
];
/** @type {(service: import('./start/services.mjs').Service) => Check} */
const buildOf = (service) => [`Build of ${service.name}`, async () => isBuilt(service) || build(service)];
/** @type {Check} */
const faultServices = ['Build of the fault suite', buildServices];

/** It is for other runs to measure how fast everything recovers; here it may take longer. */
const FAULTS = ['--at-once', '2', '--patience', '3'];

const count = { passed: 0, failed: 0, skipped: 0 };

stopOnSignals({ code: 130, farewell: 'The tests were interrupted.' });
try {
  const args = process.argv.slice(2);
  const jestArguments = args.filter((arg) => !['--no-checks', '--no-faults', '--'].includes(arg));
  if (args.includes('--help')) process.stdout.write(help);
  else {
    await test(jestArguments, {
      checks: !args.includes('--no-checks'),
      faults: !args.includes('--no-faults') && jestArguments.length === 0,
    });
  }
} catch (error) {
  if (!isStopping()) await finish(error);
}

/**
 * @param {string[]} jestArguments
 * @param {{ checks: boolean, faults: boolean }} also
 */
async function test(jestArguments, also) {
  if (!areDependenciesFresh()) await step('Dependencies', ({ progress }) => installDependencies(progress));
  onStop(Rank.server, stopTestInfrastructure);
  const servers = step('RabbitMQ and Postgres', ({ note }) => startTestInfrastructure(note));
  servers.catch(() => {}); // waited for below
  await twoAtOnce([
    ...(also.checks ? scripts : []),
    ...services.filter(({ entry }) => !entry).map(buildOf),
    ...(also.faults ? [faultServices] : []),
  ]);
  await servers;
  await runJest(jestArguments);
  if (also.faults && !isStopping()) await runFaults();
  await finish();
}

/** Each keeps one processor busy. @param {Check[]} checks */
async function twoAtOnce(checks) {
  const turns = checks.values();
  const inTurn = async () => {
    for (const [title, work] of turns) await check(title, work);
  };
  await Promise.all([inTurn(), inTurn()]);
}

/**
 * One check, whose failure does not keep the others from being done.
 * @param {string} title
 * @param {() => Promise<unknown>} work
 */
async function check(title, work) {
  try {
    await step(title, work);
    count.passed += 1;
  } catch (error) {
    if (isStopping()) throw error;
    count.failed += 1;
    print(`${colour('red', '✗')} ${title}\n${describe(error)}`);
  }
}

/** @param {string} script of package.json */
async function runScript(script) {
  const [command, ...args] = npm('run', '--silent', script);
  const { code, stdout, stderr } = await run(command, args, { cwd: projectDir, env: process.env });
  if (code !== 0) throw new Error(`${stdout}${stderr}`.trim());
}

/** @param {string[]} args */
async function runJest(args) {
  const results = resultsFile('jest');
  const script = path.join(projectDir, 'node_modules/jest/bin/jest.js');
  stopSpinning();
  const jest = await startProcess(process.execPath, [script, '--json', `--outputFile=${results}`, ...args], {
    cwd: projectDir,
    env: process.env,
    showErrors: true, // where Jest reports to people when it writes JSON
    rank: Rank.service,
  });
  const { code } = await jest.exited;
  if (isStopping()) return;
  const failedBefore = count.failed;
  addResults(results);
  if (code !== 0 && count.failed === failedBefore) count.failed += 1;
}

/** The fault suite has servers of its own, because it breaks them, and runs alone. */
async function runFaults() {
  await stopTestInfrastructure();
  const results = resultsFile('faults');
  onStop(Rank.support, async () => rmSync(path.dirname(results), { recursive: true, force: true }));
  const script = path.join(projectDir, 'tools/faults.mjs');
  print('\nFault suite, short form:');
  const faults = await startProcess(process.execPath, [script, '--short', ...FAULTS, '--results', results], {
    cwd: projectDir,
    env: process.env,
    onLine: print,
    rank: Rank.service,
    graceMs: () => 45_000, // it has services and servers of its own to stop
  });
  const { code } = await faults.exited;
  if (isStopping()) return;
  const said = existsSync(results)
    ? JSON.parse(readFileSync(results, 'utf8'))
    : { results: [{ ok: false }], leftOut: [] };
  for (const { ok } of said.results) count[ok ? 'passed' : 'failed'] += 1;
  // It writes as it goes, so one that broke off has left what had passed.
  if (code !== 0 && said.results.every((/** @type {{ ok: boolean }} */ { ok }) => ok)) count.failed += 1;
  count.skipped += said.leftOut.length;
}

/** @param {string} name of what writes it @returns {string} a file that does not outlive this run */
function resultsFile(name) {
  const file = path.join(dataDir, `test-${process.pid}`, `${name}.json`);
  mkdirSync(path.dirname(file), { recursive: true });
  return file;
}

/** @param {string} file */
function addResults(file) {
  const json = JSON.parse(readFileSync(file, 'utf8'));
  count.passed += json.numPassedTests;
  count.failed += json.numFailedTests + json.numRuntimeErrorTestSuites;
  count.skipped += json.numPendingTests + json.numTodoTests;
}

/** @param {unknown} [error] what kept the tests from running */
async function finish(error) {
  if (error) {
    count.failed += 1;
    print(`${colour('red', '✗')} ${describe(error)}`);
  }
  await stopAll();
  print(`\nChecks and tests, after ${Math.round(performance.now() / 1000)} s:`);
  print(`${count.passed} passed, ${count.failed} failed, ${count.skipped} skipped`);
  process.exit(count.failed > 0 ? 1 : 0);
}
