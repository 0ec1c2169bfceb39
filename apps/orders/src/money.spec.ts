import fc from 'fast-check';
import { DISCOUNT_PERCENT, MAX_LINES, MAX_PRICE_MINOR, MAX_QUANTITY, totalOf, type PricedLine } from './money.js';

const line = fc.record({
  quantity: fc.integer({ min: 1, max: MAX_QUANTITY }),
  unitPriceMinor: fc.integer({ min: 1, max: MAX_PRICE_MINOR }),
});
const lines = fc.array(line, { minLength: 1, maxLength: MAX_LINES });
const tier = fc.constantFrom('standard', 'silver', 'gold');
const sumOf = (all: PricedLine[]) =>
  all.reduce((sum, { quantity, unitPriceMinor }) => sum + quantity * unitPriceMinor, 0);

describe('the price of an order', () => {
  it('is the sum of its lines less the discount, and never nothing', () => {
    fc.assert(
      fc.property(lines, tier, (all, level) => {
        const { discountMinor, totalMinor } = totalOf(all, level);
        expect(discountMinor + totalMinor).toBe(sumOf(all));
        expect(Math.min(discountMinor, totalMinor - 1)).toBeGreaterThanOrEqual(0);
      }),
    );
  });

  it('has a discount that is rounded once, half-up, and exact even for the largest order', () => {
    fc.assert(
      fc.property(lines, tier, (all, level) => {
        const exact = (BigInt(sumOf(all)) * BigInt(DISCOUNT_PERCENT[level]) * 2n + 100n) / 200n;
        expect(BigInt(totalOf(all, level).discountMinor)).toBe(exact);
      }),
    );
    const most = { quantity: MAX_QUANTITY, unitPriceMinor: MAX_PRICE_MINOR };
    const largest = Array.from({ length: MAX_LINES }, () => most);
    expect(Number.isSafeInteger(sumOf(largest) * 100)).toBe(false); // so it is not multiplied by more than needed
    expect(Number.isSafeInteger(sumOf(largest) * Math.max(...Object.values(DISCOUNT_PERCENT)) + 50)).toBe(true);
  });

  it.each([
    ['standard', 1_250, 0],
    ['silver', 2_500, 125],
    ['silver', 10, 1], // half a cent
    ['silver', 9, 0],
    ['gold', 1_005, 101],
    ['gold', 1_004, 100],
  ] as const)('for %s on %i takes off %i', (level, unitPriceMinor, discountMinor) => {
    expect(totalOf([{ quantity: 1, unitPriceMinor }], level)).toEqual({
      discountMinor,
      totalMinor: unitPriceMinor - discountMinor,
    });
  });
});
