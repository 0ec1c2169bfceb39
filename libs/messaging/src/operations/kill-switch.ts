/** A reaction that failed more than half of its last 100 events does more harm than good. */
export const REMEMBERED = 100;
const TOO_MANY = REMEMBERED / 2;

/** The latest outcome of each of a reaction's last 100 events; trying one again is not another event. */
export class Outcomes {
  readonly #failed = new Map<string, boolean>();
  #failures = 0;

  /** @returns whether more than half of the last 100 failed */
  add(event: string, failed: boolean): boolean {
    const before = this.#failed.get(event);
    if (before !== undefined) {
      this.#failed.delete(event);
      if (before) this.#failures--;
    } else if (this.#failed.size >= REMEMBERED) {
      const [oldest, itFailed] = this.#failed.entries().next().value!;
      this.#failed.delete(oldest);
      if (itFailed) this.#failures--;
    }
    this.#failed.set(event, failed);
    if (failed) this.#failures++;
    return this.#failures > TOO_MANY;
  }

  get failures(): number {
    return this.#failures;
  }

  get events(): number {
    return this.#failed.size;
  }
}
