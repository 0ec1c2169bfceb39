import { existsSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { Failure } from '../../tools/infrastructure/failure.mjs';

export const help = `Usage: npm run bench -- [options]

Starts a RabbitMQ and a Postgres for itself, measures this system and what a Nest user would otherwise have, in turns,
prints a table with ratios and writes docs/BENCHMARKS.md. Takes some 50 minutes; nothing else should run meanwhile.

  --quick            the main cases alone, one round, 3 minutes at most; writes nothing
  --list             names and describes the cases
  --only <case>      this case, or those that match it with * for any text; may be repeated; writes nothing
  --rounds <n>       times that everything is measured (default 3; with --quick 1)
  --node <path>      measures our services with this Node.js as well, in a column of its own
  --help

Ctrl-C stops everything. Figures of every run: .data/bench/results.json
`;

/** @typedef {ReturnType<typeof readOptions>} Options */

/** @param {string[]} args */
export function readOptions(args) {
  const values = parse(args);
  const { quick = false, only = [], node } = values;
  if (node !== undefined && !existsSync(node)) throw new Failure(`--node: there is no file ${node}.`);
  return {
    help: values.help ?? false,
    list: values.list ?? false,
    quick,
    only,
    node,
    rounds: wholeNumber('--rounds', values.rounds, quick ? 1 : 3),
  };
}

/** @param {string[]} args */
function parse(args) {
  try {
    return parseArgs({
      args,
      options: {
        help: { type: 'boolean', short: 'h' },
        list: { type: 'boolean' },
        quick: { type: 'boolean' },
        only: { type: 'string', multiple: true },
        rounds: { type: 'string' },
        node: { type: 'string' },
      },
    }).values;
  } catch (error) {
    throw new Failure(/** @type {Error} */ (error).message, help);
  }
}

/** @param {string} name @param {string | undefined} text @param {number} otherwise */
function wholeNumber(name, text, otherwise) {
  if (text === undefined) return otherwise;
  const value = Number(text);
  if (Number.isInteger(value) && value > 0) return value;
  throw new Failure(`${name} must be a whole number above 0, not "${text}".`);
}
