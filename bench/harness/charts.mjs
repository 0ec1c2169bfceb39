// Which charts there are.
import { cases } from '../cases/comparisons.mjs';
import { barChart, lineChart } from './chart.mjs';
import { targetOf } from './results.mjs';
import { number, times } from './text.mjs';

/** @typedef {import('./results.mjs').Results} Results */

/** @type {[label: string, figure: string, kind: 'ours' | 'peer' | 'limit'][]} */
const DRAIN = [
  ['Postgres alone, the same rows', 'limit.rate', 'limit'],
  ['ours, handleMany, 1 event per stream', 'many-1.rate', 'ours'],
  ['ours, handleMany, 10 per stream', 'many-10.rate', 'ours'],
  ['ours, handleMany, 100 per stream', 'many-100.rate', 'ours'],
  ['ours, ordinary reactions', 'one.rate', 'ours'],
  ['ours, shared rows, declared', 'shared-100.rate', 'ours'],
  ['ours, shared rows, nothing declared', 'undeclared.rate', 'ours'],
  ['golevelup, no guarantees', 'golevelup.rate', 'peer'],
  ['stock Nest, no guarantees', 'stock.rate', 'peer'],
  ['stock Nest, shared rows', 'stock-shared-100.rate', 'peer'],
];

/** @param {Results} results @returns {{ file: string, title: string, svg: string }[]} */
export function chartsOf(results) {
  return [throughput(results), targets(results), memory(results)].flatMap((chart) => chart ?? []);
}

/** @param {Results} results */
function throughput(results) {
  const title = 'Events applied per second';
  const bars = DRAIN.flatMap(([label, figure, kind]) => {
    const spread = results.spread(figure);
    return spread ? [{ label, kind, ...spread, text: number(spread.value) }] : [];
  });
  return bars.length > 0 ? { file: 'throughput.svg', title, svg: barChart(title, bars) } : undefined;
}

/** Where more is better. @param {Results} results */
function targets(results) {
  const title = 'Ours ÷ peer; the blue line is the target';
  const bars = cases.flatMap(({ name, rows }) =>
    rows.flatMap((row) => {
      const { ratio, met } = results.find(row);
      if (!ratio || row.atLeast === undefined) return [];
      /** @type {'ours' | 'missed'} */
      const kind = met ? 'ours' : 'missed';
      const relative = (/** @type {number} */ value) => value / /** @type {number} */ (row.atLeast);
      const label = `${name}: ${row.label}`.slice(0, 44);
      const text = `${times(ratio.value)} (${targetOf(row)})`;
      return [
        {
          label,
          kind,
          value: relative(ratio.value),
          low: relative(ratio.low),
          high: relative(ratio.high),
          text,
          mark: 1,
        },
      ];
    }),
  );
  return bars.length > 0 ? { file: 'targets.svg', title, svg: barChart(title, bars) } : undefined;
}

/** @param {Results} results */
function memory(results) {
  /** @type {{ applied: number, relay: number, inbox: number }[] | undefined} */
  const samples = results.kept('backlog', 'memory');
  if (!samples?.length) return undefined;
  const title = 'Memory while a million events drain';
  const curve = (/** @type {'relay' | 'inbox'} */ who) => ({
    label: who,
    points: samples.map((sample) => /** @type {[number, number]} */ ([sample.applied, sample[who]])),
  });
  const svg = lineChart(title, [curve('relay'), curve('inbox')], { x: 'events applied', y: 'MB' });
  return { file: 'memory.svg', title, svg };
}
