// Runs scenarios, one after the other on each pool of servers, and says how it goes. Whatever happens to one, the others are run.
import { rmSync } from 'node:fs';
import path from 'node:path';
import { dataDir, projectDir } from '../../../tools/infrastructure/outside.mjs';
import { isStopping } from '../../../tools/start/shutdown.mjs';
import { colour, print, step } from '../../../tools/start/steps.mjs';
import { Estimate } from './estimate.mjs';
import { emptyResult, runScenario } from './run-scenario.mjs';

/** @typedef {import('./types.js').Scenario} Scenario */
/** @typedef {import('./types.js').Result} Result */

/** A scenario that did not hold; everything about it is in the result. */
class ScenarioFailedError extends Error {}

export class Suite {
  /** What cannot run here, and why. @type {{ scenario: string, reason: string }[]} */
  leftOut = [];

  /**
   * @param {readonly import('./pool.mjs').Pool[]} pools
   * @param {{ seed: string, events: number, repeat: number, patience: number, sabotage?: string, onResult: (result: Result) => void }} options
   */
  constructor(pools, options) {
    this.pools = pools;
    this.options = options;
    this.estimate = new Estimate(options.events);
  }

  /** @param {readonly Scenario[]} selection */
  async run(selection) {
    const { seed, events, repeat } = this.options;
    const queue = Array.from({ length: repeat }, (_, round) =>
      this.#possible(selection, round === 0).map((scenario) => ({
        scenario,
        seed: round === 0 ? seed : `${seed}-${round}`,
      })),
    ).flat();
    const left = (/** @type {number} */ from) =>
      Math.ceil(this.estimate.minutes(queue.slice(from).map(({ scenario }) => scenario)) / this.pools.length);
    print(`${queue.length} scenarios × ${events} events, seed ${seed}, about ${left(0)} min`);
    const turns = queue.entries();
    const runOn = async (/** @type {import('./pool.mjs').Pool} */ pool) => {
      for (const [index, { scenario, seed }] of turns) {
        if (isStopping()) return;
        const label = `${String(index + 1).padStart(String(queue.length).length)}/${queue.length} ${scenario.name}`;
        const result = await this.#one(pool, scenario, seed, label, left(index));
        if (isStopping()) return;
        this.options.onResult(result);
        // On a terminal the moving line says it all the time.
        if (!process.stdout.isTTY && index % 5 === 4 && index + 1 < queue.length) {
          print(`  ${queue.length - index - 1} scenarios left, about ${left(index + 1)} min`);
        }
      }
    };
    await Promise.all(this.pools.map(runOn));
  }

  /** @param {readonly Scenario[]} selection @param {boolean} note what is left out */
  #possible(selection, note) {
    return selection.filter(({ name, impossible }) => {
      const reason = impossible?.();
      if (reason && note) {
        print(colour('gray', `– ${name} is left out: it ${reason}`));
        this.leftOut.push({ scenario: name, reason });
      }
      return !reason;
    });
  }

  /**
   * @param {import('./pool.mjs').Pool} pool
   * @param {Scenario} scenario
   * @param {string} seed
   * @param {string} label
   * @param {number} minutes that are left
   * @returns {Promise<Result>}
   */
  async #one(pool, scenario, seed, label, minutes) {
    const started = Date.now();
    /** @type {Result & { dir: string }} */
    let result = { ...emptyResult(scenario), dir: path.join(dataDir, 'faults', scenario.name) };
    try {
      await step(label, async ({ progress, result: say }) => {
        const onPhase = (/** @type {string} */ phase) => progress(`${phase} (${minutes} min left)`);
        result = await this.#withServers(pool, scenario, seed, onPhase).catch((error) => ({
          ...result,
          problems: [`it could not be run: ${error instanceof Error ? error.stack : error}`],
        }));
        if (isStopping()) return;
        this.estimate.took(scenario, (Date.now() - started) / 1_000);
        if (!result.ok) throw new ScenarioFailedError();
        say(`${result.events} events, recovered in ${result.recoverySeconds} s; ${result.evidence.join('; ')}`);
      });
    } catch (error) {
      if (!(error instanceof ScenarioFailedError)) throw error;
      this.#complain(label, result);
    }
    return result;
  }

  /** @param {import('./pool.mjs').Pool} pool @param {Scenario} scenario @param {string} seed @param {(phase: string) => void} onPhase */
  async #withServers(pool, scenario, seed, onPhase) {
    onPhase('gets its servers');
    const servers = await pool.lease(scenario);
    rmSync(path.join(dataDir, 'faults', scenario.name), { recursive: true, force: true });
    const { events, sabotage, patience } = this.options;
    const result = await runScenario(scenario, { servers, seed, events, sabotage, patience, onPhase });
    await pool.giveBack(servers, result.ok);
    return result;
  }

  /** @param {string} label @param {Result & { dir: string }} result */
  #complain(label, { problems, dir, evidence, seconds, lost, duplicated, outOfOrder, unexpected }) {
    print(
      `${colour('red', '✗')} ${label} (${seconds} s): lost ${lost}, duplicated ${duplicated}, out of order ${outOfOrder}, unexpected ${unexpected}`,
    );
    for (const problem of problems.slice(0, 20)) print(`    ${problem}`);
    if (problems.length > 20) print(`    … and ${problems.length - 20} more`);
    for (const line of evidence) print(colour('gray', `    evidence: ${line}`));
    print(`    logs: ${path.relative(projectDir, dir)}`);
  }
}
