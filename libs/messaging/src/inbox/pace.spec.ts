import { Pace } from './pace.js';

const history = (events: number) => Array.from({ length: events }, () => ({ replayed: true }));
const live = (events: number) => Array.from({ length: events }, () => ({ replayed: false }));

/** One that has found its size, at 1 ms per event. */
function pace(items: (events: number) => { replayed: boolean }[], now: number): Pace {
  const settled = new Pace();
  for (let batch = 0; batch < 10; batch++) {
    const some = items(settled.batchSize);
    settled.applied(some, some.length, now);
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

  it('rests as long as history took while live events come in, and applies less of it at once', () => {
    const both = (events: number) => [...history(events - 1), ...live(1)];
    const settled = pace(both, 5_000);
    expect(settled.batchSize).toBe(30);
    expect(settled.applied(both(30), 30, 5_000)).toBe(30);
    expect(settled.applied(history(30), 30, 5_999)).toBe(30);
  });

  it('rests for 30 ms at most: a reaction may take long because it waits', () => {
    expect(new Pace().applied([...history(1), ...live(1)], 2_000, 0)).toBe(30);
  });

  it('does not rest for live events, nor for history if nothing else has come in for a second', () => {
    const settled = pace(live, 5_000);
    expect(settled.applied(live(100), 100, 5_000)).toBe(0);
    expect(settled.applied(history(100), 100, 6_000)).toBe(0);
    expect(settled.batchSize).toBe(100);
    expect(pace(history, 0).applied(history(100), 100, 0)).toBe(0);
  });
});
