// Writes docs/RELIABILITY.md from what was measured, and from nothing else.
import { writeFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import path from 'node:path';
import { format, resolveConfig } from 'prettier';
import { projectDir } from '../../../tools/infrastructure/outside.mjs';
import { scenarios } from '../scenarios/index.mjs';

/** @typedef {import('./types.js').Result} Result */
/** @typedef {import('./run-record.mjs').Stored} Stored */

const FILE = path.join(projectDir, 'docs', 'RELIABILITY.md');

/** @param {Stored} stored */
export async function writeReport(stored) {
  const order = scenarios.map(({ name }) => name);
  const results = stored.results.toSorted((a, b) => order.indexOf(a.scenario) - order.indexOf(b.scenario));
  const text = `${[header(results, stored), table(results), details(results)].join('\n\n')}\n`;
  writeFileSync(FILE, await format(text, { ...(await resolveConfig(FILE)), parser: 'markdown' }));
}

/** @param {readonly Result[]} results @param {Stored} stored */
function header(results, { settings: { seed, events, patience, atOnce }, versions, runs, repeated, leftOut }) {
  const total = (/** @type {'events' | 'effects' | 'lost' | 'duplicated' | 'outOfOrder' | 'unexpected'} */ field) =>
    results.reduce((sum, result) => sum + result[field], 0);
  const failed = results.filter(({ ok }) => !ok);
  const counts = results.map((result) => result.events);
  const software = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
  const minutes = Math.round(runs.reduce((sum, { seconds }) => sum + seconds, 0) / 60);
  const notes = [
    ...(patience > 1 ? [`Time-outs and targets were multiplied by ${patience} (\`--patience\`).`] : []),
    ...(atOnce > 1 ? [`${atOnce} scenarios ran at the same time (\`--at-once\`).`] : []),
  ];
  const exceptions = [
    runs.length > 1
      ? `In ${runs.length} runs (\`--resume\`): ${runs.map(told).join(', ')}.`
      : `In one run: ${runs.map(told).join('')}.`,
    ...repeated.map(({ scenario, problem }) => `Run again, because it had failed: \`${scenario}\` (${problem}).`),
    ...leftOut.map(({ scenario, reason }) => `Not run: \`${scenario}\`, which ${reason}.`),
  ].map((line) => `\n- ${line}`);
  return `# Reliability, measured

Written by \`npm run test:faults -- --report\` on ${new Date().toISOString().slice(0, 10)}; do not edit. Every figure here was measured.

- **${results.length} of ${scenarios.length} scenarios**, ${failed.length === 0 ? 'all of them passed' : `${failed.length} of them FAILED`}; load for at least ${number(events)} events each, between ${number(Math.min(...counts))} and ${number(Math.max(...counts))} recorded, ${number(total('events'))} in all, with ${number(total('effects'))} effects; ${minutes} minutes.
- **Lost ${total('lost')}, duplicated ${total('duplicated')}, out of order ${total('outOfOrder')}, unexpected ${total('unexpected')}.**
- ${[`${software.join(', ')}; ${cpus().length} cores, ${Math.round(totalmem() / 2 ** 30)} GB.`, ...notes].join(' ')}
- Seed \`${seed}\`. The same again: \`npm run test:faults -- --events ${events} --seed ${seed}\`; one scenario: \`--only <name>\`.${exceptions.join('')}

In every scenario real processes, a real RabbitMQ and a real Postgres work under load: commands over HTTP, several types of events, half of
them on a few hot streams, reactions that fail at random, are slow, share rows or record events themselves. A checker outside of them compares
what clients were told, what was recorded and what had an effect (in a table without unique keys), and a scenario also fails if its fault
cannot be shown to have happened, if something is left waiting in a database or a queue, if a connection is left open, or if recovery takes longer than the target.
The guards that make it so are switched off one by one in \`npm run test:sabotage\`, and each time the suite must fail.

_Recovered in_: from the end of the fault until everything that had been recorded by then was applied everywhere. Of a fault that ends by
itself (a lost leader, a forgotten consumer) the clock runs from its beginning, of services that were away from their being back. Some of that is the
load itself: retries after 1 s and 5 s, and reactions that take longer than the 2 s of a live one. \`nothing-happens\` shows how much.`;
}

/** @param {Stored['runs'][number]} run */
const told = ({ began, scenarios, code }) => `${scenarios} on ${began}${code ? `, ${code}` : ''}`;

/** @param {readonly Result[]} results */
function table(results) {
  const rows = results.map((result) => {
    const { scenario, ok, events, lost, duplicated, outOfOrder, unexpected, recoverySeconds, target } = result;
    const name = `[${scenario}](#${scenario})${ok ? '' : ' **failed**'}`;
    const recovered = recoverySeconds === undefined ? '–' : `${recoverySeconds.toFixed(1)} s`;
    // One that broke off was not counted, which is not the same as none.
    const counts = events > 0 ? [number(events), lost, duplicated, outOfOrder, unexpected] : Array(5).fill('–');
    return `| ${[name, ...counts, recovered, `${target} s`].join(' | ')} |`;
  });
  return [
    '| scenario | events | lost | duplicated | out of order | unexpected | recovered in | target |',
    '| --- | --: | --: | --: | --: | --: | --: | --: |',
    ...rows,
  ].join('\n');
}

/** @param {readonly Result[]} results */
function details(results) {
  return results
    .map(({ scenario, evidence, commands, problems, ok, sentByThen }) => {
      const about = scenarios.find(({ name }) => name === scenario);
      const repeated = commands.repeated > 0 ? `, ${number(commands.repeated)} repetitions` : '';
      const sent =
        sentByThen === undefined
          ? ''
          : `; ${Math.round(sentByThen * 100)} % of them had been sent when the clock of recovery started`;
      return [
        `## ${scenario}`,
        about?.what,
        `- What a user notices: ${about?.notice}`,
        `- Faults injected, as seen: ${evidence.join('; ') || 'none'}.`,
        `- Commands: ${number(commands.ok)} done, ${number(commands.failed)} refused${repeated}${sent}.`,
        ...(ok ? [] : problems.slice(0, 10).map((problem) => `- **Failed**: ${problem.split('\n')[0]}`)),
      ].join('\n');
    })
    .map((section) => section.replace('\n', '\n\n').replace('\n- ', '\n\n- '))
    .join('\n\n');
}

const number = (/** @type {number} */ value) => String(value).replace(/\B(?=(\d{3})+$)/g, ' ');
