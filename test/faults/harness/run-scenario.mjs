// Runs one scenario from the first connection to the last: set up, load, fault, heal, rest, check, stop, look for leaks.
import { appendFileSync, rmSync } from 'node:fs';
import { check } from './checker.mjs';
import { stopAndLook, wrongWhileRunning } from './leaks.mjs';
import { untilAtRest } from './rest.mjs';
import { Trial } from './trial.mjs';

/** @typedef {import('./types.js').Scenario} Scenario */
/** @typedef {import('./types.js').Result} Result */

/** Beyond the target: a run that is late is told from one that never ends. */
const PATIENCE_SECONDS = 60;
/** No scenario takes half as long; one that waits for what will never come must not stop the others. */
const LONGEST_SECONDS = 400;

/**
 * @param {Scenario} scenario
 * @param {{ servers: import('./servers.mjs').Servers, seed: string, events: number, sabotage?: string, patience?: number, restSeconds?: number, onPhase?: (phase: string) => void }} options
 *   `restSeconds`: how long beyond its target a run may take that never comes to rest
 * @returns {Promise<Result & { dir: string }>}
 */
export async function runScenario(scenario, { onPhase = () => {}, restSeconds = PATIENCE_SECONDS, ...options }) {
  const started = Date.now();
  const trial = new Trial(scenario, options);
  const result = { ...emptyResult(scenario), evidence: trial.evidence };
  onPhase = timed(result, onPhase);
  try {
    onPhase('starts');
    await trial.setUp();
    if (!scenario.load?.manual) trial.load.start();
    onPhase('under load');
    await withDeadline(scenario.run(trial), LONGEST_SECONDS * trial.patience, 'the scenario to come to its end');
    if (!trial.recovered) trial.healed();
    onPhase('recovers');
    const { seconds: loadSeconds = 0, trickle } = scenario.load ?? {};
    const longest = (loadSeconds + (trickle?.seconds ?? 0) + 120) * trial.patience;
    await withDeadline(trial.load.done(), longest, 'the load to end');
    const rest = await untilAtRest(trial, (scenario.target + restSeconds) * trial.patience);
    trial.over = true;
    const { seconds, last } = /** @type {{ seconds: number, last: string }} */ (await trial.recovered);
    result.recoverySeconds = seconds;
    result.sentByThen = trial.sentByThen;
    result.problems.push(...rest.map((reason) => `not at rest: ${reason}`));
    if (rest.length === 0 && seconds > scenario.target * trial.patience) {
      result.problems.push(`late: recovered after ${seconds} s, not within ${scenario.target} s; before that, ${last}`);
    }
    if (trial.evidence.length === 0) result.problems.push('no evidence that the fault happened');
    result.problems.push(...(await wrongWhileRunning(trial)));
    onPhase('stops');
    result.problems.push(...(await stopAndLook(trial)));
    onPhase('is checked');
    // When nothing can happen any more: rest must have been the end of it.
    const { problems, ...verdict } = await check(trial);
    Object.assign(result, verdict);
    result.problems.push(...problems);
  } catch (error) {
    const isNotProved = /** @type {Error} */ (error).name === 'NotProvedError';
    result.problems.push(isNotProved ? String(error) : stackOf(error));
    if (isNotProved) result.problems.push(...(await irreparable(trial)));
  }
  const outcomes = [...trial.load.outcomes.values()];
  result.commands.ok = outcomes.filter((outcome) => outcome === 'ok').length;
  result.commands.failed = outcomes.filter((outcome) => outcome === 'failed').length;
  result.commands.repeated = trial.load.repeated;
  result.ok = result.problems.length === 0;
  result.seconds = Math.round((Date.now() - started) / 100) / 10;
  onPhase('is cleaned up');
  await trial.cleanUp().catch((error) => appendFileSync(`${trial.dir}/clean-up.log`, stackOf(error)));
  onPhase('ends');
  if (result.ok) rmSync(trial.dir, { recursive: true, force: true });
  else appendFileSync(`${trial.dir}/result.json`, `${JSON.stringify(result, null, 2)}\n`);
  return { ...result, dir: trial.dir };
}

/** What no time can heal, of a run that has ended early: so much may tell why. @param {Trial} trial @returns {Promise<string[]>} */
async function irreparable(trial) {
  const { problems } = await check(trial).catch(() => ({ problems: [] }));
  return problems.filter((problem) => /^(duplicated|outOfOrder): /.test(problem));
}

/** Of a scenario that has not been run. @param {Scenario} scenario @returns {Result} */
export const emptyResult = ({ name, target }) => ({
  scenario: name,
  ok: false,
  evidence: [],
  commands: { ok: 0, failed: 0, repeated: 0 },
  recoverySeconds: undefined,
  sentByThen: undefined,
  target,
  seconds: 0,
  phases: {},
  ...{ events: 0, effects: 0, lost: 0, duplicated: 0, outOfOrder: 0, unexpected: 0, problems: [] },
});

/** Writes down how long each phase takes. @param {Result} result @param {(phase: string) => void} onPhase */
function timed(result, onPhase) {
  let last = { phase: '', since: Date.now() };
  return (/** @type {string} */ phase) => {
    if (last.phase) result.phases[last.phase] = (Date.now() - last.since) / 1_000;
    last = { phase, since: Date.now() };
    onPhase(phase);
  };
}

/** @param {Promise<void>} work @param {number} seconds @param {string} what */
async function withDeadline(work, seconds, what) {
  /** @type {NodeJS.Timeout | undefined} */
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${seconds} s in vain for ${what}`)), seconds * 1_000);
  });
  try {
    await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** @param {unknown} error */
const stackOf = (error) => (error instanceof Error ? (error.stack ?? String(error)) : String(error));
