import { Rank, endEverything, killEverything } from '../infrastructure/processes.mjs';
import { commandLineOf, isAlive, parentOf } from '../infrastructure/signals.mjs';
import { colour, print, endSteps } from './steps.mjs';

/** @type {Map<number, (() => Promise<unknown>)[]>} */
const stops = new Map(Object.values(Rank).map((rank) => [rank, []]));
let since = 0;
let last = { code: 0, farewell: '' };

export const isStopping = () => since > 0;

/**
 * @param {number} rank lower ones are stopped first
 * @param {() => Promise<unknown>} stop
 */
export const onStop = (rank, stop) => stops.get(rank)?.push(stop);

/** Stops what was started, services before servers, and then whatever is still there. */
export async function stopAll() {
  since ||= performance.now();
  endSteps();
  for (const rank of Object.values(Rank)) {
    await Promise.allSettled((stops.get(rank) ?? []).map((stop) => stop()));
  }
  await endEverything();
}

/**
 * Ctrl-C and the like: in good order the first time, by force the second time.
 * @param {{ code: number, farewell: string }} how the exit code after an orderly stop, and the last words
 */
export function stopOnSignals(how) {
  last = how;
  for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) {
    process.on(signal, () => void onSignal());
  }
  stopWithNpm();
  // a closed terminal is no reason to fail: a signal comes with it
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});
}

/** A SIGTERM for npm ends npm and the shell between us, a SIGKILL npm alone; neither reaches us. */
function stopWithNpm() {
  if (!process.env.npm_lifecycle_event) return;
  const parent = process.ppid;
  const above = parentOf(parent);
  const npm = above && /npm/.test(commandLineOf(above)) ? above : parent;
  const watch = setInterval(() => {
    if (process.ppid === parent && isAlive(npm)) return;
    clearInterval(watch);
    if (since === 0) void onSignal();
  }, 250).unref();
}

async function onSignal() {
  if (since > 0) {
    // npm passes a Ctrl-C on to us that the terminal has sent to us already
    if (performance.now() - since < 1000) return;
    await killEverything();
    print('Killed.');
    process.exit(130);
  }
  since = performance.now();
  endSteps();
  print(colour('gray', '\nStopping … (Ctrl-C again: at once, by force)'));
  await stopAll();
  print(`Stopped in ${((performance.now() - since) / 1000).toFixed(1)} s. ${last.farewell}`);
  process.exit(last.code);
}
