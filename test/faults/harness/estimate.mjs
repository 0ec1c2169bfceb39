// How long will it take? As long as it took here the last time, or a guess; both corrected by how the run goes so far.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { dataDir } from '../../../tools/infrastructure/outside.mjs';

/** @typedef {import('./types.js').Scenario} Scenario */

const FILE = path.join(dataDir, 'faults', 'timings.json');
/** Start, recovery, check and stop of a scenario that was never timed here, in seconds. */
const USUAL_SECONDS = 20;
/** Beyond the time of the load, for a scenario that was never timed here: two cores apply some 400 events a second. */
const SECONDS_PER_EVENT = 1 / 400;

export class Estimate {
  /** @type {Record<string, Record<string, number>>} seconds by the number of events and the name of the scenario */
  #timings = existsSync(FILE) ? JSON.parse(readFileSync(FILE, 'utf8')) : {};
  #expected = 0;
  #took = 0;

  /** @param {number} events per scenario */
  constructor(events) {
    this.events = events;
  }

  /** @param {readonly Scenario[]} scenarios @returns {number} at least one */
  minutes(scenarios) {
    // A single scenario says little about the others.
    const correction = this.#expected > 60 ? this.#took / this.#expected : 1;
    const seconds = scenarios.reduce((sum, scenario) => sum + this.#of(scenario), 0);
    return Math.max(1, Math.round((seconds * correction) / 60));
  }

  /** @param {Scenario} scenario @param {number} seconds */
  took(scenario, seconds) {
    this.#expected += this.#of(scenario);
    this.#took += seconds;
    (this.#timings[this.events] ??= {})[scenario.name] = Math.round(seconds);
    mkdirSync(path.dirname(FILE), { recursive: true });
    writeFileSync(FILE, JSON.stringify(this.#timings, null, 2));
  }

  /** @param {Scenario} scenario */
  #of({ name, load, seconds = 0 }) {
    const guess =
      USUAL_SECONDS +
      (load?.seconds ?? 6) +
      (load?.trickle?.seconds ?? 0) +
      seconds +
      this.events * (load?.times ?? 1) * SECONDS_PER_EVENT;
    return this.#timings[this.events]?.[name] ?? guess;
  }
}
