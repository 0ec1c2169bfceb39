// What becomes of speed and memory as the work grows: events, streams, subscribing services.
import { hold, record, release, seedStreams } from '../harness/backlog.mjs';
import { median, quantile } from '../harness/statistics.mjs';
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
 * 10 000, 100 000 and 1 000 000 events, and the memory of both processes during the last. The shorter ones three times: one turn of
 * a few seconds would measure the moment.
 * @param {Context} context
 * @param {{ sizes?: number[] }} [options]
 */
export const growingBacklog = (context, { sizes = [10_000, 100_000, 1_000_000] } = {}) =>
  System.use(context, async (system) => {
    const { tell } = context;
    const maker = await system.start('maker');
    const taker = await system.start('taker');
    await warmUp(system, [taker]);
    const [small = 0, middle = 0, large = 0] = sizes;
    const few = [];
    const some = [];
    for (const salt of ['a', 'b', 'c']) few.push(await drain(system, taker, { events: small, salt }, tell));
    for (const salt of ['d', 'e', 'f']) some.push(await drain(system, taker, { events: middle, salt }, tell));
    const memory = watchMemory(maker, taker);
    const many = await drain(system, taker, { events: large, salt: 'g' }, tell).finally(memory.stop);
    await check(system, 3 * (small + middle) + large + WARM_UP);
    return {
      rateSmall: median(few),
      rateMiddle: median(some),
      rateLarge: many,
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
 * The same number of events for ever more streams, all of which have been there before.
 * @param {Context} context
 * @param {{ events: number, streams: number[] }} options
 */
export const growingStreams = (context, { events, streams }) =>
  System.use(context, async (system) => {
    await system.start('maker');
    const taker = await system.start('taker');
    await warmUp(system, [taker]);
    /** @type {Record<string, number>} */
    const rates = {};
    for (const count of streams) {
      const salt = `of ${count} `;
      context.tell(`makes ${number(count)} streams`);
      await seedStreams(system, { streams: count, salt });
      const what = { events, streams: count, firstVersion: 2, salt };
      rates[`rate${count}`] = await drain(system, taker, what, (text) =>
        context.tell(`${number(count)} streams: ${text}`),
      );
    }
    await check(system, WARM_UP + events * streams.length);
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
