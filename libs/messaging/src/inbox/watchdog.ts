// Ends a process whose event loop stands still: it would keep its queue and its locks and do nothing. A thread of its own
// watches, because a blocked event loop cannot watch itself. What was not committed is done again after the restart.
import { Worker } from 'node:worker_threads';

/** Longer than any honest reaction blocks, shorter than the broker's patience. */
const LIMIT_SECONDS = 30;

// Counts its own ticks instead of reading a clock, so that a process that was suspended is not killed when it wakes up.
const WATCH = `
const { workerData } = require('node:worker_threads');
const beats = new Int32Array(workerData.beats);
let last = -1, still = 0;
setInterval(() => {
  const now = Atomics.load(beats, 0);
  still = now === last ? still + 1 : 0;
  last = now;
  if (still < workerData.limit) return;
  process._rawDebug('The event loop has stood still for ' + still + ' s; the process is ended. The event that was being applied is retried, and set aside if it does that again.');
  process.kill(process.pid, 'SIGKILL');
}, 1000);`;

/** Starts to watch this process. @returns how to stop */
export function watchEventLoop(limitSeconds = LIMIT_SECONDS): () => Promise<void> {
  const beats = new SharedArrayBuffer(4);
  const counter = new Int32Array(beats);
  const beat = setInterval(() => Atomics.add(counter, 0, 1), 500);
  beat.unref();
  const worker = new Worker(WATCH, { eval: true, workerData: { beats, limit: limitSeconds } });
  worker.unref();
  return async () => {
    clearInterval(beat);
    await worker.terminate();
  };
}
