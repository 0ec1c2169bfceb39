/** Milliseconds that processes of one machine share. */
export const now = (): number => performance.timeOrigin + performance.now();

/** What this process has applied, and when. */
export class Progress {
  applied = 0;
  firstAt = 0;
  /** How many the first time; the clock runs from their end. */
  first = 0;
  lastAt = 0;
  /** When each item was recorded or applied, if that was asked for. */
  readonly times = new Map<string, number>();
  keepTimes = false;

  add(items: readonly { itemId: string }[]): void {
    this.lastAt = now();
    if (this.applied === 0) {
      this.firstAt = this.lastAt;
      this.first = items.length;
    }
    this.applied += items.length;
    if (this.keepTimes) for (const { itemId } of items) this.times.set(itemId, this.lastAt);
  }

  note(itemId: string, at = now()): void {
    if (this.keepTimes) this.times.set(itemId, at);
  }

  reset(keepTimes: boolean): void {
    this.applied = this.first = this.firstAt = this.lastAt = 0;
    this.times.clear();
    this.keepTimes = keepTimes;
  }

  read() {
    const { applied, first, firstAt, lastAt } = this;
    return { applied, first, firstAt, lastAt, rss: process.memoryUsage.rss() };
  }
}
