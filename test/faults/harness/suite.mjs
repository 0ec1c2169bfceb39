// Runs scenarios one after the other and says how it goes.
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { dataDir, projectDir } from '../../../tools/infrastructure/outside.mjs';
import { colour, print, step } from '../../../tools/start/steps.mjs';
import { runScenario } from './run-scenario.mjs';

/** @typedef {import('./types.js').Scenario} Scenario */
/** @typedef {import('./types.js').Result} Result */

const TIMINGS = path.join(dataDir, 'faults', 'timings.json');
/** Start, recovery, check and stop of a scenario that was never timed here, in seconds. */
const USUAL_SECONDS = 22;

/** A scenario that did not hold; everything about it is in the result. */
class ScenarioFailedError extends Error {}

export class Suite {
  #timings = /** @type {Record<string, number>} */ (readTimings());

  /**
   * @param {import('./pool.mjs').Pool} pool
   * @param {{ seed: string, events: number, repeat: number, patience: number, sabotage?: string }} options
   */
  constructor(pool, options) {
    this.pool = pool;
    this.options = options;
  }

  /** @param {readonly Scenario[]} selection */
  announce(selection) {
    const { seed, events, repeat } = this.options;
    const minutes = (selection.reduce((sum, one) => sum + this.#estimate(one), 0) * repeat) / 60;
    print(
      `${selection.length} scenarios × ${events} events, seed ${seed}, about ${Math.max(1, Math.round(minutes))} min`,
    );
  }

  /** @param {readonly Scenario[]} selection @returns {Promise<Result[]>} */
  async run(selection) {
    /** @type {Result[]} */
    const results = [];
    const possible = selection.filter((scenario) => {
      const reason = scenario.impossible?.();
      if (reason) print(colour('gray', `– ${scenario.name} is left out: it ${reason}`));
      return !reason;
    });
    const queue = Array.from({ length: this.options.repeat }, (_, round) =>
      possible.map((scenario) => ({
        scenario,
        seed: round === 0 ? this.options.seed : `${this.options.seed}-${round}`,
      })),
    ).flat();
    for (const [index, { scenario, seed }] of queue.entries()) {
      const left = queue.slice(index).reduce((sum, one) => sum + this.#estimate(one.scenario), 0);
      const label = `${String(index + 1).padStart(String(queue.length).length)}/${queue.length} ${scenario.name}`;
      results.push(await this.#one(scenario, seed, label, left));
    }
    return results;
  }

  /** @param {Scenario} scenario @param {string} seed @param {string} label @param {number} left in seconds @returns {Promise<Result>} */
  async #one(scenario, seed, label, left) {
    /** @type {(Result & { dir: string }) | undefined} */
    let result;
    const minutes = Math.ceil(left / 60);
    try {
      await step(label, async ({ progress, result: say }) => {
        progress(`gets its servers (${minutes} min left)`);
        const servers = await this.pool.lease(scenario);
        const onPhase = (/** @type {string} */ phase) => progress(`${phase} (${minutes} min left)`);
        rmSync(path.join(dataDir, 'faults', scenario.name), { recursive: true, force: true });
        const { events, sabotage, patience } = this.options;
        result = await runScenario(scenario, { servers, seed, events, sabotage, patience, onPhase });
        this.#remember(scenario, result.seconds);
        await this.pool.giveBack(servers, result.ok);
        if (!result.ok) throw new ScenarioFailedError();
        say(`${result.events} events, recovered in ${result.recoverySeconds} s; ${result.evidence.join('; ')}`);
      });
    } catch (error) {
      if (!(error instanceof ScenarioFailedError)) throw error;
      if (result) this.#complain(label, result);
    }
    return /** @type {Result} */ (result);
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

  /** @param {Scenario} scenario */
  #estimate({ name, load, seconds = 0 }) {
    return this.#timings[name] ?? USUAL_SECONDS + (load?.seconds ?? 6) + seconds;
  }

  /** @param {Scenario} scenario @param {number} seconds */
  #remember({ name }, seconds) {
    this.#timings[name] = seconds;
    mkdirSync(path.dirname(TIMINGS), { recursive: true });
    writeFileSync(TIMINGS, JSON.stringify(this.#timings, null, 2));
  }
}

/** @returns {Record<string, number>} */
function readTimings() {
  return existsSync(TIMINGS) ? JSON.parse(readFileSync(TIMINGS, 'utf8')) : {};
}
