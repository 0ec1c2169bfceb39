import { Pace } from './pace.js';

const history = (events: number) => Array.from({ length: events }, () => ({ replayed: true }));
const live = (events: number) => Array.from({ length: events }, () => ({ replayed: false }));

const both = (events: number) => [...history(events - 1), ...live(1)];

/** One that has found its size. */
function pace(items: (events: number) => { replayed: boolean }[], now: number, msPerEvent = 1): Pace {
  const settled = new Pace();
  for (let batch = 0; batch < 10; batch++) {
    const some = items(settled.batchSize);
    settled.applied(some, some.length * msPerEvent, now);
  }
  return settled;
}

describe('Pace', () => {
  it('doubles a batch until it takes 100 ms, and has 2 000 events in it at most', () => {
    expect(pace(live, 0).batchSize).toBe(100);
    const fast = new Pace();
    const sizes = Array.from({ length: 9 }, () => {
      fast.applied(live(fast.batchSize), 1, 0);
      return fast.batchSize;
    });
    expect(sizes).toEqual([32, 64, 128, 256, 512, 1_024, 2_000, 2_000, 2_000]);
  });

  it('has one event in it even if that takes longer', () => {
    const slow = new Pace();
    slow.applied(live(1), 2_000, 0);
    expect(slow.batchSize).toBe(1);
  });

  it('rests twice as long as history took while live events come in, and applies less of it at once', () => {
    const settled = pace(both, 5_000, 0.1);
    expect(settled.batchSize).toBe(150);
    expect(settled.applied(both(150), 15, 5_000)).toBe(30);
    expect(settled.applied(history(50), 5, 5_999)).toBe(10);
  });

  it('applies 64 events of history at once, or what fits into 100 ms, however long a transaction takes for itself', () => {
    const slow = pace(both, 5_000, 1);
    expect(slow.batchSize).toBe(64);
    expect(slow.applied(both(40), 40, 5_000)).toBe(80);
    expect(pace(both, 5_000, 10).batchSize).toBe(10);
    expect(pace(both, 5_000, 0.001).batchSize).toBe(2_000);
  });

  it('rests for 100 ms at most: a reaction may take long because it waits', () => {
    expect(new Pace().applied([...history(1), ...live(1)], 2_000, 0)).toBe(100);
  });

  it('does not rest for live events, nor for history if nothing else has come in for a second', () => {
    const settled = pace(live, 5_000);
    expect(settled.applied(live(100), 100, 5_000)).toBe(0);
    expect(settled.applied(history(100), 100, 6_000)).toBe(0);
    expect(settled.batchSize).toBe(100);
    expect(pace(history, 0).applied(history(100), 100, 0)).toBe(0);
  });
});
