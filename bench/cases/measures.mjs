// Everything that is measured, by name. `seconds` is what it took on two quiet cores, for the estimate of the first run.
import { catchUp } from './catch-up.mjs';
import { drainOurs, runPeer } from './drain.mjs';
import { latency, steady } from './flow.mjs';
import { growingBacklog, growingStreams, subscribers } from './growth.mjs';
import { hotCommands, hotDrain, oneClient } from './hot.mjs';
import { limitOfPostgres } from './limit.mjs';
import { disturbed, postUsers, registration } from './requests.mjs';
import { secondStart } from './start.mjs';

/** @typedef {import('../harness/measure.mjs').Measure} Measure */

/** @param {{ quick: boolean }} context @param {number} full @param {number} short */
const size = ({ quick }, full, short) => (quick ? short : full);

/** @type {Record<string, Measure>} */
export const measures = {
  stock: { seconds: 16, run: (c) => runPeer(c, { seconds: size(c, 10, 4) }) },
  'many-1': { seconds: 40, otherNode: true, run: (c) => drainOurs(c, { events: size(c, 200_000, 40_000) }) },
  'many-10': { seconds: 40, run: (c) => drainOurs(c, { events: 200_000, perStream: 10 }) },
  'many-100': { seconds: 40, run: (c) => drainOurs(c, { events: 200_000, perStream: 100 }) },
  limit: { seconds: 12, run: (c) => limitOfPostgres(c.servers, size(c, 200_000, 50_000)) },
  golevelup: { seconds: 16, golevelup: true, run: (c) => runPeer(c, { peer: 'golevelup', seconds: size(c, 10, 4) }) },
  one: {
    seconds: 25,
    otherNode: true,
    run: (c) => drainOurs(c, { events: size(c, 100_000, 20_000), reaction: 'one' }),
  },
  'stock-shared-100': {
    seconds: 16,
    run: (c) => runPeer(c, { seconds: size(c, 10, 4), reaction: 'shared', buckets: 100 }),
  },
  'shared-100': {
    seconds: 22,
    otherNode: true,
    run: (c) => drainOurs(c, { events: size(c, 60_000, 12_000), reaction: 'shared', buckets: 100 }),
  },
  'shared-10000': { seconds: 22, run: (c) => drainOurs(c, { events: 60_000, reaction: 'shared', buckets: 10_000 }) },
  'stock-shared-10000': { seconds: 16, run: (c) => runPeer(c, { seconds: 10, reaction: 'shared', buckets: 10_000 }) },
  undeclared: {
    seconds: 20,
    otherNode: true,
    run: (c) => drainOurs(c, { events: size(c, 20_000, 5_000), reaction: 'undeclared', buckets: 100 }),
  },
  steady: { seconds: 15, otherNode: true, run: (c) => steady(c, { seconds: size(c, 8, 4) }) },
  'stock-steady': { seconds: 15, run: (c) => steady(c, { peer: 'stock', seconds: size(c, 8, 4) }) },
  'golevelup-steady': { seconds: 15, golevelup: true, run: (c) => steady(c, { peer: 'golevelup', seconds: 8 }) },
  'post-users': { seconds: 15, run: (c) => postUsers(c, { service: 'users', seconds: size(c, 8, 4) }) },
  'post-bare': { seconds: 15, run: (c) => postUsers(c, { service: 'bare-users', seconds: size(c, 8, 4) }) },
  disturbed: { seconds: 87, run: (c) => disturbed(c, { seconds: 10, waiting: 1_000_000 }) },
  latency: { seconds: 24, otherNode: true, run: (c) => latency(c, { seconds: size(c, 8, 4) }) },
  'stock-latency': { seconds: 24, run: (c) => latency(c, { peer: 'stock', seconds: size(c, 8, 4) }) },
  'golevelup-latency': { seconds: 24, golevelup: true, run: (c) => latency(c, { peer: 'golevelup', seconds: 8 }) },
  registration: { seconds: 15, run: (c) => registration(c, { users: size(c, 400, 100) }) },
  backlog: { seconds: 155, run: (c) => growingBacklog(c) },
  streams: {
    seconds: 200,
    run: (c) => growingStreams(c, { events: 200_000, streams: [1_000, 10_000, 100_000, 1_000_000] }),
  },
  'subscribers-1': { seconds: 18, run: (c) => subscribers(c, { events: 60_000, services: 1 }) },
  'subscribers-5': { seconds: 60, run: (c) => subscribers(c, { events: 60_000, services: 5 }) },
  'catch-up': { seconds: 115, run: (c) => catchUp(c, { events: 500_000, rate: 500 }) },
  'hot-commands': { seconds: 15, run: (c) => hotCommands(c, { seconds: 6 }) },
  'one-client': { seconds: 7, run: (c) => oneClient(c, { seconds: 6, reactionAlone: false }) },
  'hot-drain': { seconds: 15, run: (c) => hotDrain(c, { events: 30_000 }) },
  'one-client-reaction': { seconds: 5, run: (c) => oneClient(c, { seconds: 4, reactionAlone: true }) },
  start: { seconds: 90, once: true, run: secondStart },
};
