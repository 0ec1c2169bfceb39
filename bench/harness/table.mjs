import { colour, print } from '../../tools/start/steps.mjs';
import { targetOf } from './results.mjs';
import { number, times } from './text.mjs';

/** @typedef {import('./results.mjs').Finding} Finding */

/**
 * @param {readonly import('./measure.mjs').Case[]} cases
 * @param {import('./results.mjs').Results} results
 * @param {{ node?: string }} options
 */
export function printTable(cases, results, { node }) {
  for (const { title, rows } of cases) {
    print(`\n${colour('bold', title)}`);
    const findings = rows.map((row) => results.find(row));
    const lines = [
      ['', 'ours', ...(node ? ['other Node'] : []), 'peer', '', 'ratio', 'target', ''],
      ...findings.map((finding) => cellsOf(finding, node)),
    ];
    const widths = lines[0]?.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0))) ?? [];
    lines.forEach((line, index) => {
      const finding = findings[index - 1];
      const text = line.map((cell, column) =>
        column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0),
      );
      const style = !finding ? 'gray' : finding.met === false ? 'red' : finding.met ? 'green' : undefined;
      print(`  ${style ? colour(style, text.join('  ')) : text.join('  ')}`);
    });
  }
  print('');
}

/** @param {Finding} finding @param {string} [node] */
function cellsOf({ row, ours, peer, ratio, otherNode, met }, node) {
  const value = (/** @type {{ value: number } | undefined} */ spread) => (spread ? number(spread.value) : '–');
  return [
    row.label,
    value(ours),
    ...(node ? [value(otherNode)] : []),
    row.peer ? value(peer) : '',
    row.unit,
    row.peer ? times(ratio?.value ?? NaN) : '',
    targetOf(row),
    verdict(met, row),
  ];
}

/** @param {boolean | undefined} met @param {import('./measure.mjs').Row} row */
export function verdict(met, row) {
  if (targetOf(row) === '') return '';
  return met === undefined ? 'not measured' : met ? 'met' : 'missed';
}
