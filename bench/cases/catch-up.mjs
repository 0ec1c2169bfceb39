// A new inbox takes all of history while the others go on living.
import { makeHistory } from '../harness/backlog.mjs';
import { System } from '../harness/system.mjs';
import { percent } from '../harness/text.mjs';
import { liveLatency } from './flow.mjs';

/** @typedef {import('../harness/measure.mjs').Context} Context */

const PIECE_SECONDS = 5;
/** Long enough for a p99: it comes from a hundredth of the commands. */
const ALONE_SECONDS = 20;

/** @param {Context} context @param {{ events: number, rate: number }} options */
export const catchUp = (context, { events, rate }) =>
  System.use(context, async (system) => {
    const { tell } = context;
    await Promise.all([system.database('maker'), system.database('taker')]);
    const reaction = 'CopyOnItemChanged';
    const told = (/** @type {number} */ share) => tell(`makes history ${percent(share)}`);
    await makeHistory(system, { events, perStream: 10, reaction, tell: told });
    const maker = await system.start('maker');
    const taker = await system.start('taker', { BENCH_REACTION: 'one' });
    const { done } = await maker.post('work', { seconds: 3, rate });
    await system.applied(taker, done);
    tell('live alone');
    const alone = await liveLatency(system, maker, taker, { seconds: ALONE_SECONDS, rate });
    const late = await system.start('taker-late', { BENCH_REACTION: 'many' });
    const started = performance.now();
    let caughtUp = false;
    const catching = system
      .applied(late, events, (share) => tell(`catches up ${percent(share)}`))
      .finally(() => (caughtUp = true));
    const until = () => caughtUp;
    const [{ rate: pulled }, beside] = await Promise.all([
      catching,
      liveLatency(system, maker, taker, { seconds: PIECE_SECONDS, rate, until }),
    ]);
    const seconds = (performance.now() - started) / 1_000;
    return {
      pulled,
      seconds,
      aloneP50: alone.p50,
      aloneP99: alone.p99,
      besideP50: beside.p50,
      besideP99: beside.p99,
    };
  });
