import { parseArgs } from 'node:util';
import { Failure } from '../../../tools/infrastructure/failure.mjs';

export const help = `Usage: npm run test:faults -- [options]

Starts a RabbitMQ and a Postgres for itself, runs every scenario with real processes, stops everything.

  --list             names and describes the scenarios
  --only <pattern>   runs the scenarios whose names contain it, or match it with * for any text; may be repeated
  --short            the short form: 12 scenarios with 2 000 events each
  --events <n>       events per scenario (default 5 000; with --short 2 000)
  --seed <text>      repeats a run: the same commands, the same random failures
  --repeat <n>       runs the chosen scenarios n times, each time with another seed
  --patience <n>     everything may take n times longer: for a machine that is slow or busy
  --at-once <n>      runs n scenarios at the same time, each on servers of its own: sooner done, but recovery takes longer
  --report           writes docs/RELIABILITY.md
  --results <file>   writes the results as JSON, after every scenario
  --resume <file>    goes on with a run that wrote this file: with its settings, what is missing and what failed
  --help

Exits with 0 if everything held. What failed keeps its logs in .data/faults/<scenario>/.
`;

export const sabotageHelp = `Usage: npm run test:sabotage -- [--list] [--only <pattern>] [--events <n>] [--seed <text>] [--patience <n>]

Switches off one guard of the backbone after the other and expects a scenario of the fault suite to fail for that reason.
Exits with 0 if every missing guard was noticed.
`;

/** @typedef {ReturnType<typeof readOptions>} Options */

/** @param {string[]} args */
export function readOptions(args) {
  const { values } = parseOrFail(args);
  const short = values.short ?? false;
  for (const name of /** @type {const} */ (['results', 'seed', 'events', 'patience', 'at-once', 'repeat'])) {
    if (values.resume && values[name]) throw new Failure(`--resume and --${name} exclude each other.`, help);
  }
  return {
    help: values.help ?? false,
    list: values.list ?? false,
    only: values.only ?? [],
    short,
    events: wholeNumber('--events', values.events, short ? 2_000 : 5_000),
    patience: wholeNumber('--patience', values.patience, 1),
    atOnce: wholeNumber('--at-once', values['at-once'], 1),
    repeat: wholeNumber('--repeat', values.repeat, 1),
    seed: values.seed ?? Math.random().toString(36).slice(2, 8),
    report: values.report ?? false,
    results: values.results,
    resume: values.resume,
  };
}

/** @param {string[]} args */
function parseOrFail(args) {
  try {
    return parseArgs({
      args,
      options: {
        help: { type: 'boolean' },
        list: { type: 'boolean' },
        only: { type: 'string', multiple: true },
        short: { type: 'boolean' },
        events: { type: 'string' },
        seed: { type: 'string' },
        repeat: { type: 'string' },
        patience: { type: 'string' },
        'at-once': { type: 'string' },
        report: { type: 'boolean' },
        results: { type: 'string' },
        resume: { type: 'string' },
      },
    });
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
