// Writes docs/BENCHMARKS.md and its charts from what was measured in this run, and from nothing else.
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { format, resolveConfig } from 'prettier';
import { projectDir } from '../../tools/infrastructure/outside.mjs';
import { chartsOf } from './charts.mjs';
import { targetOf } from './results.mjs';
import { noiseOf } from './run.mjs';
import { verdict } from './table.mjs';
import { duration, number, times } from './text.mjs';

/** @typedef {import('./measure.mjs').Case} Case */
/** @typedef {import('./results.mjs').Spread} Spread */
/** @typedef {Awaited<ReturnType<typeof import('./machine.mjs').machine>> & { peers: string[], golevelup?: string }} About */

const FILE = path.join(projectDir, 'docs', 'BENCHMARKS.md');
const CHARTS = path.join(projectDir, 'docs', 'benchmarks');

/**
 * @param {readonly Case[]} cases
 * @param {import('./run.mjs').Run} run
 * @param {{ rounds: number, node?: string }} options
 * @param {About} about
 */
export async function writeReport(cases, run, options, about) {
  rmSync(CHARTS, { recursive: true, force: true });
  mkdirSync(CHARTS, { recursive: true });
  const charts = chartsOf(run.results);
  for (const { file, svg } of charts) writeFileSync(path.join(CHARTS, file), svg);
  const parts = [
    header(cases, run, options, about),
    ...charts.map(({ file, title }) => `![${title}](benchmarks/${file})`),
    ...cases.map((one) => section(one, run.results, about.otherNode)),
    howItIsMeasured(about),
  ];
  const style = { ...(await resolveConfig(FILE)), filepath: FILE };
  writeFileSync(FILE, await format(parts.join('\n\n'), style));
}

/** @param {readonly Case[]} cases @param {import('./run.mjs').Run} run @param {{ rounds: number }} options @param {About} about */
function header(cases, run, { rounds }, about) {
  const findings = cases.flatMap(({ rows }) => rows.map((row) => run.results.find(row)));
  const withTarget = findings.filter(({ row }) => targetOf(row) !== '');
  const count = (/** @type {boolean | undefined} */ met) => withTarget.filter((finding) => finding.met === met).length;
  const missing = count(undefined) > 0 ? `, ${count(undefined)} not measured` : '';
  const failures = run.results.failures.map(
    ({ measure, round, message }) => `- **Failed**: ${measure}, round ${round}: ${message.split('\n')[0]}`,
  );
  return [
    `# Benchmarks, measured

Written by \`npm run bench\` on ${new Date().toISOString().slice(0, 10)}; do not edit. Every figure here was measured in that run, ours and the peers' in turns on
the same machine, which others use as well. Read the ratios; the absolute figures are no promises.

- **${withTarget.length} targets: ${count(true)} met, ${count(false)} missed${missing}.**
- ${rounds} rounds, ${duration(run.seconds ?? 0)}. Figures are medians, in brackets the lowest and the highest round; a ratio is the median of the ratios within each round.
- ${about.hardware}. Other programs used ${noiseOf(run)} meanwhile.
- ${about.software}; ${about.packages}.
- Postgres: ${about.settings}. All of it – both services, RabbitMQ, Postgres, the load – shares those cores.`,
    ...about.peers.map((peer) => `- ${peer}.`),
    ...(about.golevelup ? [`- golevelup was left out: ${about.golevelup}`] : []),
    ...(about.otherNode
      ? [`- The column “Node ${about.otherNode}” is our services on that version, everything else unchanged.`]
      : []),
    ...failures,
  ].join('\n');
}

/** @param {Case} one @param {import('./results.mjs').Results} results @param {string} [otherNode] */
function section({ title, rows }, results, otherNode) {
  const lines = rows.map((row) => {
    const { ours, peer, ratio, otherNode: other, met } = results.find(row);
    const verdicts = verdict(met, row);
    const cells = [
      row.label,
      withSpread(ours),
      ...(otherNode ? [other ? withSpread(other) : ''] : []),
      row.peer ? withSpread(peer) : '',
      row.unit,
      row.peer ? ratioWithSpread(ratio) : '',
      targetOf(row),
      verdicts === 'missed' ? '**missed**' : verdicts,
    ];
    return `| ${cells.join(' | ')} |`;
  });
  const head = ['', 'ours', ...(otherNode ? [`Node ${otherNode}`] : []), 'peer', '', 'ours ÷ peer', 'target', ''];
  const rule = ['---', '--:', ...(otherNode ? ['--:'] : []), '--:', '---', '--:', '--:', '---'];
  return [`## ${title}`, '', `| ${head.join(' | ')} |`, `| ${rule.join(' | ')} |`, ...lines].join('\n');
}

/** @param {Spread | undefined} spread */
const withSpread = (spread) => range(spread, number);
/** @param {Spread | undefined} spread */
const ratioWithSpread = (spread) => range(spread, times);

/** @param {Spread | undefined} spread @param {(value: number) => string} print */
function range(spread, print) {
  if (!spread) return '–';
  const { value, low, high, count } = spread;
  return count > 1 ? `${print(value)} (${number(low)}–${number(high)})` : print(value);
}

/** @param {About} about */
const howItIsMeasured = (about) => `## How it is measured

- **Ours** is the whole road: a backlog that lies in the outbox, or commands that record it; relay, quorum queue, gate, \`@EventPattern\`, reactions,
  one transaction per batch, acknowledgement. Before a drain counts, a check over the tables finds every event applied once, in order, with correct sums.
- **The clock** of a drain runs from the first batch that is committed to the last; of a latency, from the commit of the command to the commit of its effect,
  in two processes of one machine.
- **The peers** do the same work on the same tables without outbox, inbox, order, deduplication and retries. Their rate is that of commands that are applied while
  they go on, 64 at a time: what recording costs us is in the steady flow, not in the drains. One statement for one message, as their documentation
  shows it; golevelup can also hand messages to its subscribers in batches, which is not used here.${about.golevelup ? '' : ' golevelup uses the bare `pg` driver instead of a query builder.'}
- **The limit** is Postgres alone: event log, outbox and its delete, gate and projection in statements of 500 rows over two connections. It includes the event log, which a drain does not write, and its deletes wait for the disk, which those of our relay do not.
- **Streams** have ids that sort as they were made, as \`newId\` makes them for all services. Those that are there before are visited far apart. Before a drain, Postgres
  has vacuumed and written what was recorded, as it would have within minutes. Turns of different sizes go up and down again.
- **Processor time per event** is that of all processes together; it says more than the clock on a machine that others use.
- **\`POST /users\`** goes to the real service, through autocannon in the same machine, without subscribers. The bare insert commits by itself; commands of ours are committed
  together under load ([ADR 10](adr/0010-commands-are-committed-together.md)), events included.
- **The hot stream** has a natural limit: the writers of one aggregate are serial, each waits for the commit of the one before. Hot counters are split into sub-subjects.

Raw figures of the last run are in \`.data/bench/results.json\`.`;
