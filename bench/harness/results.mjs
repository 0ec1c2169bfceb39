// Gathers figures round by round and turns them into the rows of the table.
import { measureOf, withOtherNode } from './measure.mjs';
import { median } from './statistics.mjs';

/** @typedef {import('./measure.mjs').Row} Row */
/** @typedef {import('./measure.mjs').Figures} Figures */
/** @typedef {{ value: number, low: number, high: number, count: number }} Spread */
/** @typedef {{ row: Row, ours?: Spread, peer?: Spread, ratio?: Spread, otherNode?: Spread, met?: boolean }} Finding */

export class Results {
  /** @type {Map<string, Map<number, Figures>>} */
  #figures = new Map();
  /** @type {{ measure: string, round: number, message: string }[]} */
  failures = [];

  /** @param {string} measure @param {number} round @param {Figures} figures */
  add(measure, round, figures) {
    this.#figures.set(measure, (this.#figures.get(measure) ?? new Map()).set(round, figures));
  }

  /** One figure by round. @param {string} name @returns {Map<number, number>} */
  figure(name) {
    const rounds = [...(this.#figures.get(measureOf(name)) ?? [])];
    const key = name.slice(name.lastIndexOf('.') + 1);
    return new Map(
      rounds.flatMap(([round, figures]) => (Number.isFinite(figures[key]) ? [[round, figures[key]]] : [])),
    );
  }

  /** What the last round has kept for a chart. @param {string} measure @param {string} key */
  kept(measure, key) {
    return [...(this.#figures.get(measure)?.values() ?? [])].at(-1)?.[key];
  }

  /** @param {string} name @returns {Spread | undefined} */
  spread(name) {
    return spreadOf([...this.figure(name).values()]);
  }

  /** The ratio is the median of the ratios of each round: both sides of a round had the same machine. @param {Row} row @returns {Finding} */
  find(row) {
    const ours = this.spread(row.ours);
    const otherNode = this.spread(withOtherNode(row.ours));
    if (row.peer === undefined) return { row, ours, otherNode, met: meets(row, undefined, ours) };
    const byRound = this.figure(row.peer);
    const ratios = [...this.figure(row.ours)].flatMap(([round, value]) => value / (byRound.get(round) ?? NaN));
    const ratio = spreadOf(ratios.filter(Number.isFinite));
    return { row, ours, otherNode, peer: this.spread(row.peer), ratio, met: meets(row, ratio, ours) };
  }

  toJSON() {
    return {
      failures: this.failures,
      figures: Object.fromEntries([...this.#figures].map(([name, rounds]) => [name, Object.fromEntries(rounds)])),
    };
  }
}

/** @param {number[]} values @returns {Spread | undefined} */
function spreadOf(values) {
  if (values.length === 0) return undefined;
  return { value: median(values), low: Math.min(...values), high: Math.max(...values), count: values.length };
}

/** Undefined: there is no target, or nothing was measured. @param {Row} row @param {Spread} [ratio] @param {Spread} [ours] */
function meets({ atLeast, atMost, max }, ratio, ours) {
  if (max !== undefined) return ours && ours.value <= max;
  if (atLeast !== undefined) return ratio && ratio.value >= atLeast;
  if (atMost !== undefined) return ratio && ratio.value <= atMost;
  return undefined;
}

/** @param {Row} row */
export function targetOf({ atLeast, atMost, max, unit }) {
  if (max !== undefined) return `≤ ${max} ${unit}`;
  if (atLeast !== undefined) return `≥ ${atLeast} ×`;
  return atMost === undefined ? '' : `≤ ${atMost} ×`;
}
