// Runs scenarios with one guard switched off each: red is right.
import { describe } from '../../../tools/infrastructure/failure.mjs';
import { isStopping } from '../../../tools/start/shutdown.mjs';
import { colour, print, step } from '../../../tools/start/steps.mjs';
import { scenarios } from '../scenarios/index.mjs';
import { runScenario } from './run-scenario.mjs';

/** @typedef {(typeof import('../sabotages.mjs').sabotages)[number]} Sabotage */

/** The guard was off and nobody noticed, or it was noticed for another reason. */
class NotNoticedError extends Error {}

/**
 * @param {import('./pool.mjs').Pool} pool
 * @param {import('./options.mjs').Options} options
 * @param {readonly Sabotage[]} selection
 * @returns {Promise<string[]>} the guards whose absence was not noticed
 */
export async function runSabotages(pool, options, selection) {
  const failed = [];
  for (const [index, one] of selection.entries()) {
    const label = `${String(index + 1).padStart(String(selection.length).length)}/${selection.length} ${one.guard}`;
    try {
      await step(label, async ({ progress, result }) => {
        progress(one.scenario);
        result(await notice(pool, options, one));
      });
    } catch (error) {
      if (isStopping()) break;
      failed.push(one.guard);
      print(`${colour('red', '✗')} ${label}: ${error instanceof NotNoticedError ? error.message : describe(error)}`);
    }
  }
  return failed;
}

/**
 * @param {import('./pool.mjs').Pool} pool
 * @param {import('./options.mjs').Options} options
 * @param {Sabotage} sabotage
 * @returns {Promise<string>} how it was noticed
 */
async function notice(pool, { seed, events, patience }, { guard, scenario: name, shows }) {
  const scenario = scenarios.find((one) => one.name === name);
  if (!scenario) throw new Error(`there is no scenario ${name}`);
  const servers = await pool.lease(scenario);
  const { ok, problems, lost, duplicated, outOfOrder, unexpected } = await runScenario(scenario, {
    servers,
    seed,
    events,
    patience,
    sabotage: guard,
    restSeconds: 5,
  });
  await pool.giveBack(servers, true);
  if (ok) throw new NotNoticedError(`${name} is still green`);
  const found = problems.find((problem) => shows.test(problem.replace(/^\w+Error: /, '')));
  if (!found) throw new NotNoticedError(`${name} is red, but not because of this: ${problems.slice(0, 3).join('; ')}`);
  const counts = Object.entries({ lost, duplicated, 'out of order': outOfOrder, unexpected }).filter(([, n]) => n > 0);
  const summary = counts.map(([what, count]) => `${what} ${count}`).join(', ');
  return `noticed by ${name}: ${summary || found.split('\n')[0]}`;
}
