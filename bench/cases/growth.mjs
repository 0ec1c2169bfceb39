// What becomes of speed and memory as the work grows: events, streams, subscribing services.
import { hold, record, release, seedStreams } from '../harness/backlog.mjs';
import { meanRate, median, quantile } from '../harness/statistics.mjs';
import { System } from '../harness/system.mjs';
import { number, percent } from '../harness/text.mjs';
import { check, WARM_UP, warmUp } from './drain.mjs';

/** @typedef {import('../harness/measure.mjs').Context} Context */
/** @typedef {import('../harness/service.mjs').Service} Service */

const MEGABYTE = 1024 * 1024;
const SAMPLE_MS = 500;

/**
 * Records, and drains when all are there.
 * @param {System} system
 * @param {Service} taker
 * @param {Parameters<typeof record>[1]} what
 * @param {(text: string) => void} tell
 */
async function drain(system, taker, what, tell) {
  const label = number(what.events);
  await hold(system);
  await record(system, { ...what, tell: (share) => tell(`records ${label}: ${percent(share)}`) });
  await taker.reset();
  await release(system);
  return (await system.applied(taker, what.events, (share) => tell(`drains ${label}: ${percent(share)}`))).rate;
}

/**
 * 10 000, 100 000 and 1 000 000 events, and the memory of both processes during the last. The shorter ones several times, one turn of a
 * few seconds would measure the moment; those of 100 000 in front of the million and behind it, so that a machine that becomes slower or
 * faster meanwhile, and code that does, favours nobody.
 * @param {Context} context
 * @param {{ sizes?: number[] }} [options]
 */
export const growingBacklog = (context, { sizes = [10_000, 100_000, 1_000_000] } = {}) =>
  System.use(context, async (system) => {
    const maker = await system.start('maker');
    const taker = await system.start('taker');
    await warmUp(system, [taker]);
    const [small = 0, middle = 0, large = 0] = sizes;
    let day = 0;
    let recorded = WARM_UP;
    const turns = async (/** @type {number} */ events, /** @type {number} */ times) => {
      const rates = [];
      for (let time = 0; time < times; time++) {
        rates.push(await drain(system, taker, { events, day: ++day }, context.tell));
        recorded += events;
      }
      return rates;
    };
    const few = await turns(small, 3);
    const some = await turns(middle, 3);
    const memory = watchMemory(maker, taker);
    const many = await turns(large, 1).finally(memory.stop);
    some.push(...(await turns(middle, 3)));
    await check(system, recorded);
    return {
      rateSmall: median(few),
      rateMiddle: meanRate(some),
      rateLarge: meanRate(many),
      ...memory.figures(),
      memory: memory.samples,
    };
  });

/** @param {Service} maker @param {Service} taker */
function watchMemory(maker, taker) {
  /** @type {{ applied: number, relay: number, inbox: number }[]} */
  const samples = [];
  const timer = setInterval(() => {
    void Promise.all([maker.progress(), taker.progress()]).then(
      ([{ rss }, { applied, rss: other }]) => samples.push({ applied, relay: rss / MEGABYTE, inbox: other / MEGABYTE }),
      () => {}, // the last look, as they end
    );
  }, SAMPLE_MS);
  /** From one share of the work to another. @param {'relay' | 'inbox'} who @param {number} from @param {number} to */
  const between = (who, from, to) => {
    const all = Math.max(...samples.map(({ applied }) => applied));
    return median(samples.filter(({ applied }) => applied > from * all && applied <= to * all).map((s) => s[who]));
  };
  const of = (/** @type {'relay' | 'inbox'} */ who) => ({
    [`${who}Peak`]: Math.max(...samples.map((sample) => sample[who])),
    [`${who}Growth`]: between(who, 0.8, 1) / between(who, 0.2, 0.4),
  });
  return { samples, stop: () => clearInterval(timer), figures: () => ({ ...of('relay'), ...of('inbox') }) };
}

/**
 * The same number of events for ever more streams, all of which have been there before; each number twice, up and down again, so that a
 * machine that becomes slower or faster meanwhile favours nobody.
 * @param {Context} context
 * @param {{ events: number, streams: number[] }} options
 */
export const growingStreams = (context, { events, streams }) =>
  System.use(context, async (system) => {
    await system.start('maker');
    const taker = await system.start('taker');
    await warmUp(system, [taker]);
    for (const [index, count] of streams.entries()) {
      context.tell(`makes ${number(count)} streams`);
      await seedStreams(system, { streams: count, day: index + 1 });
    }
    const turn = async (/** @type {number} */ count, skip = 0) => {
      const tell = (/** @type {string} */ text) => context.tell(`${number(count)} streams: ${text}`);
      const day = streams.indexOf(count) + 1;
      return drain(system, taker, { events, streams: count, skip, day }, tell);
    };
    /** @type {Map<number, number>} */
    const up = new Map();
    for (const count of streams) up.set(count, await turn(count));
    /** @type {Record<string, number>} */
    const rates = {};
    for (const count of [...streams].reverse())
      rates[`rate${count}`] = meanRate([up.get(count) ?? 0, await turn(count, events)]);
    await check(system, WARM_UP + 2 * events * streams.length);
    return rates;
  });

/**
 * The same backlog for one service and for several. Applications per second, all together.
 * @param {Context} context
 * @param {{ events: number, services: number }} options
 */
export const subscribers = (context, { events, services }) =>
  System.use(context, async (system) => {
    const { tell } = context;
    await system.start('maker');
    /** @type {Service[]} */
    const takers = [];
    for (let index = 1; index <= services; index++)
      takers.push(await system.start(index === 1 ? 'taker' : `taker-${index}`));
    await warmUp(system, takers);
    await hold(system);
    await record(system, { events, tell: (share) => tell(`records ${percent(share)}`) });
    await Promise.all(takers.map((taker) => taker.reset()));
    await release(system);
    const all = await Promise.all(
      takers.map((taker) => system.applied(taker, events, (share) => tell(`drains ${percent(share)}`))),
    );
    const began = Math.min(...all.map(({ firstAt }) => firstAt));
    const ended = Math.max(...all.map(({ lastAt }) => lastAt));
    return {
      rate: ((events * services) / (ended - began)) * 1_000,
      slowest: quantile(
        all.map(({ rate }) => rate),
        0,
      ),
    };
  });
