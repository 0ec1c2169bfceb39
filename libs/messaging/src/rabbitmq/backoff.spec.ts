import { jitter } from './backoff.js';

const draws = (attempt: number, bounds?: Parameters<typeof jitter>[1]) =>
  Array.from({ length: 1_000 }, () => jitter(attempt, bounds));

describe('jitter', () => {
  it.each([0, 1, 3, 5])(
    'is spread from a tenth of base · 2^%i on, and never above all of it and that tenth',
    (attempt) => {
      const bound = 200 * 2 ** attempt;
      const all = draws(attempt);
      expect(Math.min(...all)).toBeGreaterThanOrEqual(bound / 10);
      expect(Math.max(...all)).toBeLessThanOrEqual(bound * 1.1);
      // Clients that were cut off together must not come back together: both ends are used, and no value twice.
      expect(Math.min(...all)).toBeLessThan(bound * 0.25);
      expect(Math.max(...all)).toBeGreaterThan(bound * 0.95);
      expect(new Set(all).size).toBeGreaterThan(900);
    },
  );

  it.each([6, 20, 1_000, Infinity])('is at most the ceiling, and still spread, at attempt %d', (attempt) => {
    const all = draws(attempt, { ceiling: 10_000 });
    expect(Math.max(...all)).toBeLessThanOrEqual(10_000);
    expect(Math.min(...all)).toBeGreaterThanOrEqual(1_000);
    expect(Math.min(...all)).toBeLessThan(3_000);
    expect(new Set(all).size).toBeGreaterThan(500);
  });

  it('takes other bounds', () => {
    const all = draws(2, { base: 10, ceiling: 30 });
    expect(Math.min(...all)).toBeGreaterThanOrEqual(3);
    expect(Math.max(...all)).toBeLessThanOrEqual(30);
  });
});
