// How much an inbox applies at once, and when it rests. A service that catches up takes every processor that it gets, Postgres's and the
// owner's included, and whoever records and applies events meanwhile waits for one. So history gives way to what is live.
import type { Item } from './item.js';

/** Events in one transaction at most, and the time it should take. */
const MAX_BATCH = 2_000;
const TARGET_MS = 100;
/** How long a batch takes is not known yet; from one to the next it at most doubles. */
const FIRST_BATCH = 16;
/** Of history while live events come in: what is live waits for that long, not for 100 ms. */
const HISTORY_MS = 30;
/** So long after the last live event there may be more. */
const LIVE_MS = 1_000;

export class Pace {
  #batchSize = FIRST_BATCH;
  #liveAt = -Infinity;

  /** Events that the next batch should have at most. */
  get batchSize(): number {
    return this.#batchSize;
  }

  /**
   * `items` have been applied together.
   *
   * @param ms how long that took
   * @returns for how long to rest now, in ms: if history was among them and live events come in, for as long as it took, but no longer than it
   *   should have taken (its reactions may wait for something else than a processor); else not at all
   */
  applied(items: readonly Pick<Item, 'replayed'>[], ms: number, now = performance.now()): number {
    if (items.some(({ replayed }) => !replayed)) this.#liveAt = now;
    const givesWay = now - this.#liveAt < LIVE_MS && items.some(({ replayed }) => replayed);
    const fitting = Math.ceil((givesWay ? HISTORY_MS : TARGET_MS) / (ms / items.length));
    this.#batchSize = Math.max(1, Math.min(MAX_BATCH, 2 * this.#batchSize, fitting));
    return givesWay ? Math.min(ms, HISTORY_MS) : 0;
  }
}
