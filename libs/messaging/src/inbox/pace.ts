// How much an inbox applies at once, and when it rests. A service that catches up takes every processor that it gets, Postgres's and the
// owner's included, and whoever records and applies events meanwhile waits for one. So history gives way to what is live.
import type { Item } from './item.js';

/** Events in one transaction at most, and the time it should take. */
const MAX_BATCH = 2_000;
const TARGET_MS = 100;
/** How long a batch takes is not known yet; from one to the next it at most doubles. */
const FIRST_BATCH = 16;
/** Of history while live events come in: what is live waits for that long, not for 100 ms. */
const HISTORY_MS = 15;
/** But so many events, as long as they fit into {@link TARGET_MS}: whatever a transaction takes for itself, history comes to an end. */
const LEAST_HISTORY = 64;
/** Behind history, times what it took: two thirds of the time are left to what is live. */
const REST = 2;
/** Reactions may wait for something else than a processor. */
const MAX_REST_MS = 100;
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
   * @returns for how long to rest now, in ms: if history was among them and live events come in, for twice as long as it took, at most
   *   100 ms; else not at all
   */
  applied(items: readonly Pick<Item, 'replayed'>[], ms: number, now = performance.now()): number {
    if (items.some(({ replayed }) => !replayed)) this.#liveAt = now;
    const givesWay = now - this.#liveAt < LIVE_MS && items.some(({ replayed }) => replayed);
    const within = (limitMs: number) => Math.ceil(limitMs / (ms / items.length));
    const most = givesWay ? Math.max(LEAST_HISTORY, within(HISTORY_MS)) : Infinity;
    this.#batchSize = Math.max(1, Math.min(MAX_BATCH, most, 2 * this.#batchSize, within(TARGET_MS)));
    return givesWay ? Math.min(REST * ms, MAX_REST_MS) : 0;
  }
}
