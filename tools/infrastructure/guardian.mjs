// Ends what a run has started when the run itself was killed and could not do so. It lives in a process group of its own and
// holds the other end of a pipe: while the run lives it is told what to watch; when the pipe closes it stops whatever is left.
import { createInterface } from 'node:readline';
import { isAlive, signalProcess } from './signals.mjs';

/**
 * A process that leads a group of its own; with `group`, the signal is for all of that group.
 * @typedef {{ pid: number, group: boolean, signal: NodeJS.Signals, rank: number, graceMs: number }} Ward
 */

/** @type {Map<number, Ward>} */
const wards = new Map();

for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) process.on(signal, () => {});

for await (const line of createInterface({ input: process.stdin })) {
  const { watch, forget } = /** @type {{ watch?: Ward, forget?: number }} */ (JSON.parse(line));
  if (watch) wards.set(watch.pid, watch);
  if (forget) wards.delete(forget);
}
for (const rank of [...new Set([...wards.values()].map((ward) => ward.rank))].sort((a, b) => a - b)) {
  await Promise.all([...wards.values()].filter((ward) => ward.rank === rank).map(end));
}

/** @param {Ward} ward */
async function end(ward) {
  signalProcess(ward, ward.signal);
  for (const deadline = Date.now() + ward.graceMs; isAlive(ward.pid);) {
    if (Date.now() > deadline) break;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  signalProcess({ pid: ward.pid, group: true }, 'SIGKILL'); // it, or stragglers of its group
}
