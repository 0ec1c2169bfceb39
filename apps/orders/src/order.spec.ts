import { isOpen, ORDER_STATUSES, overdueReason } from './order.js';

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
