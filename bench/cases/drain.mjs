// How a backlog is drained, and the peers at the same work.
import { hold, record, release } from '../harness/backlog.mjs';
import { cpuSecondsOf } from '../harness/cpu.mjs';
import { System } from '../harness/system.mjs';
import { percent } from '../harness/text.mjs';

/** @typedef {import('../harness/measure.mjs').Context} Context */
/** @typedef {import('../harness/servers.mjs').Servers} Servers */
/** @typedef {import('../harness/service.mjs').Service} Service */

/** Events that wait, and commands: seconds of work for either side. */
export const WARM_UP = 20_000;
const WARM_UP_COMMANDS = 3_000;

/** Rows that both sides add to. @param {number} buckets */
const TOTALS = (buckets) => `insert into totals select n, 0, 0 from generate_series(0, ${buckets} - 1) n`;

/**
 * Events per second from the first that is applied to the last, with everything else at work: relay, broker, inbox.
 * @param {Context} context
 * @param {{ events: number, perStream?: number, reaction?: string, buckets?: number }} options
 */
export const drainOurs = (context, { events, perStream = 1, reaction = 'many', buckets = 1 }) =>
  System.use(context, async (system) => {
    const { servers, tell } = context;
    const maker = await system.start('maker');
    const taker = await system.start('taker', { BENCH_REACTION: reaction });
    if (buckets > 1) await system.rows('taker', TOTALS(buckets));
    await warmUp(system, [taker], buckets);
    await hold(system);
    await record(system, { events, perStream, buckets, tell: (share) => tell(`records ${percent(share)}`) });
    await taker.reset();
    const before = cpuOf(servers, [maker, taker]);
    await release(system);
    const { rate } = await system.applied(taker, events, (share) => tell(`drains ${percent(share)}`));
    const cpu = cpuSince(before, cpuOf(servers, [maker, taker]), events);
    await check(system, events + WARM_UP, reaction);
    return { rate, ...cpu };
  });

/** Code that has never run is slow; all sides run theirs once. @param {System} system @param {Service[]} takers @param {number} [buckets] */
export async function warmUp(system, takers, buckets = 1) {
  await record(system, { events: WARM_UP, buckets, day: 0 });
  for (const taker of takers) await system.applied(taker, WARM_UP);
}

/**
 * The same by commands, as many as there is time for.
 * @param {System} system
 * @param {Service} maker
 * @param {Service} taker
 * @param {number} concurrency
 * @param {number} [buckets]
 */
export async function warmUpByCommands(system, maker, taker, concurrency, buckets = 1) {
  const { done } = await maker.post('work', { seconds: 30, count: WARM_UP_COMMANDS, concurrency, buckets });
  await system.applied(taker, done);
  return done;
}

/** Exactly once, in order, with correct sums. @param {System} system @param {number} events @param {string} [reaction] */
export async function check(system, events, reaction = 'many') {
  if (reaction === 'shared' || reaction === 'undeclared') {
    const [{ amount, count }] = await system.rows(
      'taker',
      'select sum(amount)::int as amount, sum(events)::int as count from totals',
    );
    if (amount !== events || count !== events)
      throw new Error(`the sums are wrong: ${amount} and ${count} of ${events}`);
    return;
  }
  const [found] = await system.rows(
    'taker',
    `select count(*)::int as rows, count(distinct (item_id, version))::int as events,
            count(*) filter (where version < before)::int as disorder
     from (select *, lag(version) over (partition by item_id order by seq) as before from entries) e`,
  );
  if (found.rows !== events || found.events !== events || found.disorder > 0)
    throw new Error(`not exactly once in order: ${JSON.stringify(found)} of ${events}`);
}

/**
 * A peer for as long: commands on one side, each a row and an event, and the same rows on the other.
 * @param {Context} context
 * @param {{ peer?: 'stock' | 'golevelup', seconds: number, reaction?: string, buckets?: number }} options
 */
export const runPeer = (context, { peer = 'stock', seconds, reaction = 'one', buckets = 1 }) =>
  System.use(context, async (system) => {
    const { servers, tell } = context;
    const taker = await system.start(`${peer}-taker`, { BENCH_REACTION: reaction });
    const maker = await system.start(`${peer}-maker`);
    if (buckets > 1) await system.rows(taker.name, TOTALS(buckets));
    const concurrency = 64;
    await warmUpByCommands(system, maker, taker, concurrency, buckets);
    await taker.reset();
    const before = cpuOf(servers, [maker, taker]);
    tell(`works for ${Math.round(seconds)} s`);
    const { done } = await maker.post('work', { seconds, concurrency, buckets });
    const { rate } = await system.applied(taker, done);
    return { rate, ...cpuSince(before, cpuOf(servers, [maker, taker]), done) };
  });

/** @param {Servers} servers @param {Service[]} services */
const cpuOf = (servers, services) => [
  ...Object.values(servers.cpuSeconds()),
  ...services.map(({ pid }) => cpuSecondsOf(pid)),
];

/**
 * Processor time of everything that takes part, per event, in microseconds; nothing where the system does not tell.
 * @param {(number | undefined)[]} before
 * @param {(number | undefined)[]} after
 * @param {number} events
 */
function cpuSince(before, after, events) {
  const spent = after.map((seconds, index) => (seconds ?? NaN) - (before[index] ?? NaN));
  const cpu = (spent.reduce((sum, seconds) => sum + seconds, 0) / events) * 1e6;
  return Number.isNaN(cpu) ? {} : { cpu };
}
