import { writeFileSync } from 'node:fs';

/** @param {any} results @param {any} options */
export function writeReport(results, options) {
  writeFileSync('/dev/null', JSON.stringify({ results, options }));
}
