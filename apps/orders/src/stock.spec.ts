import fc from 'fast-check';
import { availableIn, handOver, release, reserve, shortagesOf, statusOf, type Quantity, type Stocks } from './stock.js';

const SKUS = ['cup', 'pot', 'tea'];
const goods = fc
  .uniqueArray(fc.record({ sku: fc.constantFrom(...SKUS), quantity: fc.integer({ min: 1, max: 8 }) }), {
    selector: ({ sku }) => sku,
    minLength: 1,
  })
  .map((lines): Quantity[] => lines);
/** An order, and what becomes of it. */
const orders = fc.array(fc.record({ goods, paid: fc.boolean() }), { maxLength: 30 });
const stocks = fc
  .array(fc.integer({ min: 0, max: 40 }), { minLength: 3, maxLength: 3 })
  .map((counts): Stocks => new Map(SKUS.map((sku, n) => [sku, { onHand: counts[n]!, reserved: 0 }])));

const quantityIn = (all: readonly Quantity[][], sku: string) =>
  all.flat().reduce((sum, line) => sum + (line.sku === sku ? line.quantity : 0), 0);

describe('the stock', () => {
  it('balances: available never is negative, reserved is what open orders hold, confirmed goods are gone', () => {
    fc.assert(
      fc.property(stocks, orders, fc.integer({ min: 1, max: 10 }), (put, all, patience) => {
        let now = put;
        const open: typeof all = [];
        const confirmed: Quantity[][] = [];
        const settle = () => {
          const { goods, paid } = open.shift()!;
          now = paid ? handOver(now, goods) : release(now, goods);
          if (paid) confirmed.push(goods);
        };
        const check = () => {
          for (const sku of SKUS) {
            const stock = now.get(sku)!;
            expect(availableIn(stock)).toBeGreaterThanOrEqual(0);
            expect(stock.reserved).toBe(
              quantityIn(
                open.map(({ goods }) => goods),
                sku,
              ),
            );
            expect(stock.onHand + quantityIn(confirmed, sku)).toBe(put.get(sku)!.onHand);
          }
        };
        for (const order of all) {
          if (shortagesOf(now, order.goods).length > 0) continue;
          now = reserve(now, order.goods);
          open.push(order);
          check();
          if (open.length >= patience) settle();
          check();
        }
        while (open.length > 0) settle();
        check();
      }),
    );
  });

  it('names what there is not enough of', () => {
    const now: Stocks = new Map([
      ['cup', { onHand: 5, reserved: 3 }],
      ['pot', { onHand: 5, reserved: 0 }],
    ]);
    const wishes = [
      { sku: 'pot', quantity: 5 },
      { sku: 'cup', quantity: 3 },
    ];
    expect(shortagesOf(now, wishes)).toEqual([{ sku: 'cup', quantity: 3 }]);
  });

  it.each([
    [7, 7, 'out-of-stock'],
    [7, 6, 'low-stock'],
    [7, 2, 'low-stock'],
    [7, 1, 'in-stock'],
    [0, 0, 'out-of-stock'],
  ])('of %i with %i reserved is %s', (onHand, reserved, status) => expect(statusOf({ onHand, reserved })).toBe(status));

  it('adds up several orders for one product', () => {
    const now: Stocks = new Map([['cup', { onHand: 9, reserved: 5 }]]);
    const twice = [
      { sku: 'cup', quantity: 2 },
      { sku: 'cup', quantity: 3 },
    ];
    expect(release(now, twice).get('cup')).toEqual({ onHand: 9, reserved: 0 });
  });
});
