import { setTimeout as sleep } from 'node:timers/promises';

/**
 * Waits a random time up to `base · 2^attempt` ms, at most `ceiling` ms ("full jitter"), so that many clients do not
 * come back in step. Resolves early, without an error, when `signal` is aborted.
 */
export async function backOff(
  attempt: number,
  { base = 200, ceiling = 10_000, signal }: { base?: number; ceiling?: number; signal?: AbortSignal } = {},
): Promise<void> {
  const bound = Math.min(ceiling, base * 2 ** Math.min(attempt, 20));
  await pause(bound / 10 + Math.random() * bound, signal);
}

/** Waits `ms` or until `signal` is aborted. */
export async function pause(ms: number, signal?: AbortSignal): Promise<void> {
  await sleep(ms, undefined, signal && { signal }).catch(() => {});
}
