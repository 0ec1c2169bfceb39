import { setTimeout as delay } from 'node:timers/promises';

/** What has not come at once is looked for less often: looks cost the services and servers that are waited for. */
const SLOWEST_MS = 100;

/**
 * Waits for a fact: tries the assertion until it does not throw. The usual patience is that of a busy machine; where time is
 * the promise, give `timeoutMs`; where a moment must not be missed, `intervalMs`.
 * @returns what the assertion returns
 * @throws its last error, with the time that was spent in the message
 */
export async function eventually<T>(
  assertion: () => T | Promise<T>,
  { timeoutMs = 30_000, intervalMs }: { timeoutMs?: number; intervalMs?: number } = {},
): Promise<T> {
  const started = performance.now();
  for (let pauseMs = intervalMs ?? 10; ; pauseMs = intervalMs ?? Math.min(pauseMs * 1.3, SLOWEST_MS)) {
    try {
      return await assertion();
    } catch (error) {
      const elapsedMs = performance.now() - started;
      if (elapsedMs >= timeoutMs) throw still(error, elapsedMs);
    }
    await delay(pauseMs);
  }
}

function still(error: unknown, elapsedMs: number): unknown {
  if (!(error instanceof Error)) return error;
  error.message = `still failing after ${(elapsedMs / 1000).toFixed(1)} s: ${error.message}`;
  return error;
}
