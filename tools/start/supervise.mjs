import { setTimeout as delay } from 'node:timers/promises';
import { isStopping } from './shutdown.mjs';
import { colour, print } from './steps.mjs';

/**
 * Something that must keep running. When it ends by itself, that is said, and it is started again, after a pause that grows with
 * every failure and is forgotten after a minute of health.
 * @param {string} name
 * @param {{ exited: () => Promise<import('../infrastructure/processes.mjs').Exit> | undefined, start: () => Promise<unknown>,
 *   stop: () => Promise<unknown> }} subject runs already
 */
export function supervise(name, { exited, start, stop }) {
  /** @type {'running' | 'restarting' | 'stopped'} */
  let state = 'running';
  let pause = new AbortController();
  const isStopped = () => state === 'stopped' || isStopping();

  const loop = async () => {
    for (let failures = 0; !isStopped();) {
      const since = performance.now();
      const end = await exited();
      if (isStopped()) return;
      if (state === 'restarting' || performance.now() - since > 60_000) failures = 0;
      if (state === 'running') {
        const seconds = Math.min(30, 2 ** failures++);
        print(
          colour('red', `${name} ended (${end?.signal ?? `code ${end?.code}`}); starting it again in ${seconds} s`),
        );
        pause = new AbortController();
        await delay(seconds * 1000, undefined, { signal: pause.signal }).catch(() => {});
      }
      if (isStopped()) return;
      state = 'running';
      await start().catch((error) => isStopped() || print(colour('red', `${name}: ${error.message}`)));
    }
  };
  void loop();

  return {
    /** Ends it in good order and starts it again at once. */
    async restart() {
      if (isStopped()) return;
      state = 'restarting';
      pause.abort();
      await stop();
    },
    async stop() {
      state = 'stopped';
      pause.abort();
      await stop();
    },
  };
}
