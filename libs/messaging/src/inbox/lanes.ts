import { sabotaged } from '@app/context';

/**
 * Runs work so that pieces with a common key run one after the other, in the order given, and the rest overlaps.
 * A piece without keys runs alone. Two reactions that overlap in one transaction do not see each other's row locks
 * (measured: 900 + 100 + 100 = 1 000), so whatever may touch the same row must share a key.
 */
export class Lanes {
  readonly #tails = new Map<string, Promise<unknown>>();
  readonly #running = new Set<Promise<unknown>>();
  #barrier: Promise<unknown> = Promise.resolve();

  /** Never waits in a circle: everything waits for earlier work only. */
  run<T>(keys: readonly string[] | undefined, work: () => Promise<T>): Promise<T> {
    if (sabotaged('overlapping-everything')) return Promise.resolve().then(work);
    const before = keys
      ? [this.#barrier, ...keys.flatMap((key) => this.#tails.get(key) ?? [])]
      : [this.#barrier, ...this.#running];
    const result = Promise.all(before).then(work);
    const settled = result.then(
      () => {},
      () => {},
    );
    this.#running.add(settled);
    void settled.then(() => this.#running.delete(settled));
    if (keys) for (const key of keys) this.#tails.set(key, settled);
    else this.#barrier = settled;
    return result;
  }
}
