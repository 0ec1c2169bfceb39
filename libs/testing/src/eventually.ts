import { setTimeout as delay } from 'node:timers/promises';

/**
 * Waits for a fact: tries the assertion until it does not throw. The usual patience is that of a busy machine; where time is
 * the promise, give `timeoutMs`.
 * @returns what the assertion returns
 * @throws its last error, with the time that was spent in the message
 */
export async function eventually<T>(
  assertion: () => T | Promise<T>,
  { timeoutMs = 30_000, intervalMs = 25 }: { timeoutMs?: number; intervalMs?: number } = {},
): Promise<T> {
  const started = performance.now();
  for (;;) {
    try {
      return await assertion();
    } catch (error) {
      const elapsedMs = performance.now() - started;
      if (elapsedMs >= timeoutMs) throw still(error, elapsedMs);
    }
    await delay(intervalMs);
  }
}

function still(error: unknown, elapsedMs: number): unknown {
  if (!(error instanceof Error)) return error;
  error.message = `still failing after ${(elapsedMs / 1000).toFixed(1)} s: ${error.message}`;
  return error;
}
