// Measures in turns: every round has every measure once, and every other round goes backwards, so that a machine that
// becomes slower or faster meanwhile favours nobody.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { dataDir } from '../../tools/infrastructure/outside.mjs';
import { isStopping } from '../../tools/start/shutdown.mjs';
import { colour, print, step } from '../../tools/start/steps.mjs';
import { measures } from '../cases/measures.mjs';
import { cpuUse } from './cpu.mjs';
import { withOtherNode } from './measure.mjs';
import { Results } from './results.mjs';
import { duration, number, percent } from './text.mjs';

/** @typedef {import('./measure.mjs').Figures} Figures */
/** @typedef {{ name: string, measure: string, round: number, node?: string }} Turn */

const FOLDER = path.join(dataDir, 'bench');
const TIMINGS = path.join(FOLDER, 'timings.json');
/** A quick run has so many seconds from its very start; what does not fit any more is left out. */
const QUICK_SECONDS = 165;

export class Run {
  results = new Results();
  /** What was left out, and why. @type {string[]} */
  leftOut = [];
  #timings = readTimings();
  #since = performance.now();

  /**
   * @param {import('./servers.mjs').Servers} servers
   * @param {{ quick: boolean, rounds: number, node?: string }} options
   */
  constructor(servers, options) {
    this.servers = servers;
    this.options = options;
  }

  /** @param {readonly string[]} names of measures */
  async measure(names) {
    const turns = this.#turns(names);
    const total = turns.reduce((sum, turn) => sum + this.#estimate(turn), 0);
    print(`${names.length} measures, ${turns.length} turns, about ${duration(total)}; Ctrl-C stops it`);
    const before = cpuUse();
    for (const [index, turn] of turns.entries()) {
      if (this.#isLate(turn)) {
        this.leftOut.push(`${turn.name}: there was no time left`);
        continue;
      }
      const left = turns.slice(index).reduce((sum, other) => sum + this.#estimate(other), 0);
      const place = `${String(index + 1).padStart(String(turns.length).length)}/${turns.length}`;
      await this.#turn(turn, `${place} round ${turn.round}: ${turn.name}`, left);
      this.#save();
    }
    this.seconds = (performance.now() - this.#since) / 1_000;
    this.othersUsed = othersShare(before, cpuUse());
  }

  /** @param {readonly string[]} names @returns {Turn[]} */
  #turns(names) {
    const { rounds, node } = this.options;
    return Array.from({ length: rounds }, (_, index) => {
      const round = index + 1;
      const some = names.filter((name) => !(measures[name]?.once && round > 1));
      const turns = some.flatMap((measure) => {
        const own = { name: measure, measure, round };
        return node && measures[measure]?.otherNode ? [own, { ...own, name: withOtherNode(measure), node }] : [own];
      });
      return round % 2 ? turns : turns.reverse();
    }).flat();
  }

  /** @param {Turn} turn @param {string} label @param {number} left seconds */
  async #turn({ name, measure, round, node }, label, left) {
    const started = performance.now();
    try {
      await step(label, async ({ progress, result }) => {
        const tell = (/** @type {string} */ text) => progress(`${text} (${duration(left)} left)`);
        tell('starts');
        const { servers, options } = this;
        const run = /** @type {import('./measure.mjs').Measure} */ (measures[measure]).run;
        const figures = await run({ servers, quick: options.quick, node, tell });
        this.results.add(name, round, figures);
        result(describe(figures));
      });
      if (!this.options.quick) this.#timings[name] = (performance.now() - started) / 1_000;
    } catch (error) {
      if (isStopping()) throw error; // whatever it says, that is why
      const { message } = /** @type {Error} */ (error);
      this.results.failures.push({ measure: name, round, message });
      print(`${colour('red', '✗')} ${label}: ${message.slice(0, 1_000)}`);
    }
  }

  /** @param {Turn} turn */
  #isLate(turn) {
    if (!this.options.quick) return false;
    return performance.now() / 1_000 + this.#estimate(turn) > QUICK_SECONDS;
  }

  /** @param {Turn} turn */
  #estimate({ name, measure }) {
    const usual = this.#timings[name] ?? measures[measure]?.seconds ?? 0;
    return this.options.quick ? Math.min(usual * 0.6, 12) : usual;
  }

  #save() {
    mkdirSync(FOLDER, { recursive: true });
    writeFileSync(TIMINGS, JSON.stringify(this.#timings, null, 2));
    writeFileSync(path.join(FOLDER, 'results.json'), JSON.stringify(this.results, null, 2));
  }
}

/** @returns {Record<string, number>} */
const readTimings = () => (existsSync(TIMINGS) ? JSON.parse(readFileSync(TIMINGS, 'utf8')) : {});

/** @param {Figures} figures */
const describe = (figures) =>
  Object.entries(figures)
    .filter(([, value]) => typeof value === 'number')
    .map(([name, value]) => `${name} ${number(value)}`)
    .join(', ');

/**
 * The part of the machine that other programs had meanwhile; undefined where the system does not tell.
 * @param {ReturnType<typeof cpuUse>} before
 * @param {ReturnType<typeof cpuUse>} after
 */
function othersShare(before, after) {
  if (!before || !after) return undefined;
  const [all, busy, ours] = [after.all - before.all, after.busy - before.busy, after.ours - before.ours];
  return Math.max(0, busy - ours) / all;
}

/** @param {Run} run */
export const noiseOf = ({ othersUsed }) =>
  othersUsed === undefined ? 'unknown' : `${percent(othersUsed)} of the machine`;
