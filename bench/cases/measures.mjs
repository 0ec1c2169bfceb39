// How a backlog is drained and how the peer does the same work, for several cases.
import { setTimeout as sleep } from 'node:timers/promises';
import { hold, record, release } from '../harness/backlog.mjs';
import { cpuSecondsOf } from '../harness/cpu.mjs';
import { System } from '../harness/system.mjs';

/** @typedef {import('../harness/servers.mjs').Servers} Servers */
/** @typedef {import('../harness/service.mjs').Service} Service */

/** Rows that both sides add to. @param {number} buckets */
const TOTALS = (buckets) => `insert into totals select n, 0, 0 from generate_series(0, ${buckets} - 1) n`;

/**
 * Events per second from the first that is applied to the last, with everything else at work: relay, broker, inbox.
 * @param {Servers} servers
 * @param {{ events: number, perStream?: number, reaction?: string, buckets?: number, tell: (text: string) => void }} options
 */
export async function drainOurs(servers, { events, perStream = 1, reaction = 'many', buckets = 1, tell }) {
  const system = await System.create(servers);
  try {
    const maker = await system.start('maker');
    const taker = await system.start('taker', { BENCH_REACTION: reaction });
    if (buckets > 1) await system.rows('taker', TOTALS(buckets));
    await warmUp(system, taker, buckets);
    await hold(system);
    await record(system, { events, perStream, buckets, tell: (share) => tell(`records ${percent(share)}`) });
    await taker.reset();
    const before = cpuOf(servers, [maker, taker]);
    await release(system);
    const result = await system.applied(taker, events, (share) => tell(`drains ${percent(share)}`));
    const cpu = cpuSince(before, cpuOf(servers, [maker, taker]), events);
    await check(system, events + WARM_UP, reaction);
    return { ...result, seconds: (result.lastAt - result.firstAt) / 1_000, cpu };
  } finally {
    await system.remove();
  }
}

const WARM_UP = 3_000;

/** Code that has never run is slow; both sides run theirs once. @param {System} system @param {Service} taker @param {number} buckets */
async function warmUp(system, taker, buckets) {
  await record(system, { events: WARM_UP, buckets, salt: 'warm up' });
  await system.applied(taker, WARM_UP);
}

/** Exactly once, in order, with correct sums. @param {System} system @param {number} events @param {string} reaction */
async function check(system, events, reaction) {
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
 * The stock peer for as long: commands on one side, each a row and an emit, and the same rows on the other.
 * @param {Servers} servers
 * @param {{ seconds: number, reaction?: string, buckets?: number, tell: (text: string) => void }} options
 */
export async function runStock(servers, { seconds, reaction = 'one', buckets = 1, tell }) {
  const system = await System.create(servers);
  try {
    const taker = await system.start('stock-taker', { BENCH_REACTION: reaction });
    const maker = await system.start('stock-maker');
    if (buckets > 1) await system.rows('stock-taker', TOTALS(buckets));
    const concurrency = 64;
    const { done: warm } = await maker.post('work', { seconds: 30, count: WARM_UP, concurrency, buckets });
    await system.applied(taker, warm);
    await taker.reset();
    const before = cpuOf(servers, [maker, taker]);
    tell(`stock, ${Math.round(seconds)} s`);
    const { done, seconds: took } = await maker.post('work', { seconds, concurrency, buckets });
    const result = await system.applied(taker, done);
    const cpu = cpuSince(before, cpuOf(servers, [maker, taker]), done);
    return { ...result, produced: done / took, events: done, cpu };
  } finally {
    await system.remove();
  }
}

/** The stock consumer alone, with its queue filled before. @param {Servers} servers @param {{ events: number, tell: (text: string) => void }} options */
export async function drainStock(servers, { events, tell }) {
  const system = await System.create(servers);
  try {
    const first = await system.start('stock-taker', { BENCH_REACTION: 'one' });
    const maker = await system.start('stock-maker');
    await first.stop();
    tell('stock fills its queue');
    await maker.post('work', { seconds: 600, count: events, concurrency: 256 });
    await sleep(500);
    const taker = await system.start('stock-taker', { BENCH_REACTION: 'one' });
    return await system.applied(taker, events, (share) => tell(`stock drains ${percent(share)}`));
  } finally {
    await system.remove();
  }
}

/** @param {Servers} servers @param {Service[]} services */
const cpuOf = (servers, services) => ({
  ...servers.cpuSeconds(),
  ...Object.fromEntries(services.map(({ name, pid }) => [name, cpuSecondsOf(pid)])),
});

/**
 * In microseconds per event.
 * @param {Record<string, number | undefined>} before
 * @param {Record<string, number | undefined>} after
 * @param {number} events
 */
const cpuSince = (before, after, events) =>
  Object.fromEntries(
    Object.entries(after).map(([name, seconds]) => [
      name,
      Math.round((((seconds ?? 0) - (before[name] ?? 0)) / events) * 1e7) / 10,
    ]),
  );

/** @param {number} share */
const percent = (share) => `${Math.round(share * 100)} %`;
