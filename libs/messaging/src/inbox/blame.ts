import { isContention, isDatabaseUnavailable } from '@app/database';
import type { Item } from './item.js';
import { isConsequence, ShuttingDownError, type Failed, type Planned } from './reaction-runner.js';

/** Which events failed in an attempt, and why. Everything was rolled back. */
export class ReactionsFailedError extends Error {
  override readonly name = 'ReactionsFailedError';
  /** @param suspects events that were handled together, at least one of which failed */
  constructor(
    readonly failures: ReadonlyMap<Item, unknown>,
    readonly suspects: readonly Item[],
  ) {
    super(`${failures.size} event(s) failed, and some of ${suspects.length} that were handled together`);
  }
}

/** Throws if a reaction failed. Statements behind a failed one fail too (25P02): those are not the culprits. */
export function blame(runs: readonly Planned[][], results: readonly (Failed | undefined)[]): void {
  const failures = new Map<Item, unknown>();
  const suspects: Item[] = [];
  const errors = results.flatMap((failed) => (failed ? [failed.error] : []));
  for (const error of errors) if (mustStop(error)) throw error;
  results.forEach((failed, index) => {
    if (!failed || isConsequence(failed.error)) return;
    const run = runs[index]!;
    if (run.length > 1) suspects.push(...run.map(({ item }) => item));
    else failures.set(run[0]!.item, failed.error);
  });
  if (failures.size > 0 || suspects.length > 0) throw new ReactionsFailedError(failures, suspects);
  if (errors.length > 0) throw errors[0];
}

const mustStop = (error: unknown): boolean =>
  isDatabaseUnavailable(error) || isContention(error) || error instanceof ShuttingDownError;
