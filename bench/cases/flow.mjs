// Commands whose events are relayed and applied meanwhile: how many, and how soon.
import { System } from '../harness/system.mjs';
import { quantile } from '../harness/statistics.mjs';
import { warmUpByCommands } from './drain.mjs';

/** @typedef {import('../harness/measure.mjs').Context} Context */
/** @typedef {import('../harness/service.mjs').Service} Service */

const OURS = { maker: 'maker', taker: 'taker' };

/** @param {'stock' | 'golevelup' | undefined} peer */
const namesOf = (peer) => (peer ? { maker: `${peer}-maker`, taker: `${peer}-taker` } : OURS);

/**
 * 64 commands at a time, each recording one event.
 * @param {Context} context
 * @param {{ peer?: 'stock' | 'golevelup', seconds: number }} options
 */
export const steady = (context, { peer, seconds }) =>
  System.use(context, async (system) => {
    const names = namesOf(peer);
    const taker = await system.start(names.taker, { BENCH_REACTION: 'one' });
    const maker = await system.start(names.maker);
    await warmUpByCommands(system, maker, taker, 64);
    await taker.reset();
    context.tell(`works for ${seconds} s`);
    const { done, seconds: took } = await maker.post('work', { seconds, concurrency: 64 });
    const ended = performance.now();
    const { applied } = await taker.progress();
    await system.applied(taker, done); // or it throws: nothing is left behind
    return { commands: done / took, behind: done - applied, catchUpMs: performance.now() - ended };
  });

/**
 * From the commit of a command to the commit of its effect, in ms.
 * @param {Context} context
 * @param {{ peer?: 'stock' | 'golevelup', seconds: number, rate?: number }} options
 */
export const latency = (context, { peer, seconds, rate = 200 }) =>
  System.use(context, async (system) => {
    const names = namesOf(peer);
    const taker = await system.start(names.taker, { BENCH_REACTION: 'one' });
    const maker = await system.start(names.maker);
    const before = await warmUpByCommands(system, maker, taker, 16);
    const { done } = await maker.post('work', { seconds: context.quick ? 2 : 8, rate });
    await system.applied(taker, before + done); // or the last of them would count
    context.tell(`${rate} commands/s for ${seconds} s`);
    return liveLatency(system, maker, taker, { seconds, rate });
  });

/**
 * Latencies of commands at a rate, with two services that run already.
 * @param {System} system
 * @param {Service} maker
 * @param {Service} taker
 * @param {{ seconds: number, rate: number, until?: () => boolean }} options `until`: goes on until then, in pieces of `seconds`
 */
export async function liveLatency(system, maker, taker, { seconds, rate, until = () => true }) {
  await Promise.all([maker.reset(true), taker.reset(true)]);
  let done = 0;
  do done += (await maker.post('work', { seconds, rate })).done;
  while (!until());
  await system.applied(taker, done);
  const [recorded, applied] = await Promise.all([maker.get('progress/times'), taker.get('progress/times')]);
  const latencies = Object.entries(recorded).map(([id, at]) => applied[id] - at);
  if (latencies.some(Number.isNaN)) throw new Error('some commands had no effect');
  return { p50: quantile(latencies, 0.5), p99: quantile(latencies, 0.99), commands: latencies.length };
}
