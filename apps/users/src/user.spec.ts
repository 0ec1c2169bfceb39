import fc from 'fast-check';
import { award, changedProfile, MAX_POINTS, pointsFor, tierFor, type Membership } from './user.js';

const amount = fc.integer({ min: 0, max: 10_000_000 });
const newcomer: Membership = { points: 0, tier: 'standard' };
const rank = { standard: 0, silver: 1, gold: 2 };

describe('points', () => {
  it.each([
    [0, 0],
    [99, 0],
    [100, 1],
    [199, 1],
    [2_375, 23],
    [Number.MAX_SAFE_INTEGER, 90_071_992_547_409],
  ])('for %i minor units: %i', (totalMinor, points) => expect(pointsFor(totalMinor)).toBe(points));

  it('are whole, and never more than what was paid', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), (totalMinor) => {
        const points = pointsFor(totalMinor);
        expect(Number.isSafeInteger(points)).toBe(true);
        expect(points * 100).toBeLessThanOrEqual(totalMinor);
        expect(totalMinor - points * 100).toBeLessThan(100);
      }),
    );
  });
});

describe('the tier', () => {
  it.each([
    [0, 'standard'],
    [999, 'standard'],
    [1_000, 'silver'],
    [4_999, 'silver'],
    [5_000, 'gold'],
    [MAX_POINTS, 'gold'],
  ])('of %i points is %s', (points, tier) => expect(tierFor(points)).toBe(tier));
});

describe('a membership', () => {
  it('is the sum of all orders, in whatever order they are confirmed', () => {
    fc.assert(
      fc.property(fc.array(amount), fc.array(fc.nat()), (orders, swaps) => {
        const shuffled = [...orders];
        swaps.forEach((swap, i) => {
          if (shuffled.length > 0) shuffled.unshift(...shuffled.splice((swap + i) % shuffled.length, 1));
        });
        const sum = orders.reduce((points, totalMinor) => points + pointsFor(totalMinor), 0);
        expect(shuffled.reduce(award, newcomer)).toEqual({ points: sum, tier: tierFor(sum) });
      }),
    );
  });

  it('only rises, twice at most', () => {
    fc.assert(
      fc.property(fc.array(amount), (orders) => {
        let changes = 0;
        orders.reduce((before, totalMinor) => {
          const after = award(before, totalMinor);
          expect(after.points).toBeGreaterThanOrEqual(before.points);
          expect(rank[after.tier]).toBeGreaterThanOrEqual(rank[before.tier]);
          if (after.tier !== before.tier) changes += 1;
          return after;
        }, newcomer);
        expect(changes).toBeLessThanOrEqual(2);
      }),
    );
  });

  it('goes from standard to gold at once with one large order', () => {
    expect(award(newcomer, 500_000)).toEqual({ points: 5_000, tier: 'gold' });
  });

  it('never outgrows its column', () => {
    expect(award({ points: MAX_POINTS - 1, tier: 'gold' }, Number.MAX_SAFE_INTEGER).points).toBe(MAX_POINTS);
  });
});

describe('a profile', () => {
  const alice = { name: 'Alice', email: 'alice@example.com' };

  it.each([
    [{ name: 'Alicia' }, { ...alice, name: 'Alicia' }],
    [{ email: 'Alice@example.com' }, { ...alice, email: 'Alice@example.com' }],
    [
      { name: 'Bob', email: 'bob@example.com' },
      { name: 'Bob', email: 'bob@example.com' },
    ],
  ])('changes with %j', (change, after) => expect(changedProfile(alice, change)).toEqual(after));

  it.each([{}, { name: 'Alice' }, alice])('stays as it is with %j', (change) =>
    expect(changedProfile(alice, change)).toBeUndefined(),
  );
});
