import { setTimeout as sleep } from 'node:timers/promises';

interface Bounds {
  base?: number;
  ceiling?: number;
}

/**
 * A random time up to `base · 2^attempt` ms, at most `ceiling` ms ("full jitter"), so that many clients do not come back in
 * step; never less than a tenth of it.
 */
export function jitter(attempt: number, { base = 200, ceiling = 10_000 }: Bounds = {}): number {
  const bound = Math.min(ceiling, base * 2 ** Math.min(attempt, 20));
  return Math.min(ceiling, bound / 10 + Math.random() * bound);
}

/** Waits a {@link jitter}. Resolves early, without an error, when `signal` is aborted. */
export async function backOff(
  attempt: number,
  { signal, ...bounds }: Bounds & { signal?: AbortSignal } = {},
): Promise<void> {
  await pause(jitter(attempt, bounds), signal);
}

/** Waits `ms` or until `signal` is aborted. */
export async function pause(ms: number, signal?: AbortSignal): Promise<void> {
  await sleep(ms, undefined, signal && { signal }).catch(() => {});
}

/** Waits for `work`, but no longer than `ms`. */
export async function atMost(ms: number, work: Promise<unknown> | undefined): Promise<void> {
  const done = new AbortController();
  await Promise.race([work, pause(ms, done.signal)]).finally(() => done.abort());
}
