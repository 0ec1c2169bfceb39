import { OrderCancelled } from '@app/contracts';
import { MAX_LINES } from './money.js';
import { isOpen, ORDER_STATUSES, overdueReason, shortageReason } from './order.js';

describe('a deadline', () => {
  it.each([
    ['awaiting-customer', 'customer', 'the customer is not known'],
    ['awaiting-payment', 'payment', 'not paid in time'],
    ['awaiting-payment', 'customer', undefined],
    ['awaiting-customer', 'payment', undefined],
    ['confirmed', 'payment', undefined],
    ['cancelled', 'payment', undefined],
    ['cancelled', 'customer', undefined],
  ] as const)('of an order that is %s, for the %s: %s', (status, waitedFor, reason) =>
    expect(overdueReason(status, waitedFor)).toBe(reason),
  );

  it('cancels nothing but open orders', () => {
    for (const status of ORDER_STATUSES) {
      const reasons = (['customer', 'payment'] as const).map((waitedFor) => overdueReason(status, waitedFor));
      expect(reasons.some(Boolean)).toBe(isOpen(status));
    }
  });
});

describe('what is out of stock', () => {
  const shortagesOf = (count: number) => Array.from({ length: count }, (_, n) => ({ sku: `sku-${n}`, quantity: 1 }));

  it.each([
    [1, 'out of stock: sku-0'],
    [2, 'out of stock: sku-0, sku-1'],
    [5, 'out of stock: sku-0, sku-1, sku-2, sku-3, sku-4'],
    [6, 'out of stock: sku-0, sku-1, sku-2, sku-3, sku-4 and 1 more'],
  ])('is named, if it is %i', (count, reason) => expect(shortageReason(shortagesOf(count))).toBe(reason));

  it('fits into the event, however much it is', () => {
    const most = Array.from({ length: MAX_LINES }, () => ({ sku: 'x'.repeat(64), quantity: 1 }));
    expect(() => new OrderCancelled({ ...OrderCancelled.example, reason: shortageReason(most) })).not.toThrow();
  });
});
