// Rules of an order: awaiting-customer → awaiting-payment → confirmed | cancelled.
import type { OrderDeadlinePassed } from '@app/contracts';
import type { Quantity } from './stock.js';

export const ORDER_STATUSES = ['awaiting-customer', 'awaiting-payment', 'confirmed', 'cancelled'] as const;
export type OrderStatus = (typeof ORDER_STATUSES)[number];

/** It can still be confirmed, or cancelled. */
export const isOpen = (status: OrderStatus): boolean => status === 'awaiting-customer' || status === 'awaiting-payment';

/** Goods are promised to it. */
export const hasReserved = (status: OrderStatus): boolean => status === 'awaiting-payment';

/** Why an order with this status is cancelled when a deadline passes; `undefined`: it no longer waits for that. */
export function overdueReason(status: OrderStatus, waitedFor: OrderDeadlinePassed['waitedFor']): string | undefined {
  if (status !== `awaiting-${waitedFor}`) return undefined;
  return waitedFor === 'payment' ? 'not paid in time' : 'the customer is not known';
}

/** So many SKUs, 64 characters each, fit into the reason of an event. */
const MOST_NAMED = 5;

/** Why an order cannot be placed for which there is not enough of these. */
export function shortageReason(shortages: readonly Quantity[]): string {
  const named = shortages.slice(0, MOST_NAMED).map(({ sku }) => sku);
  const unnamed = shortages.length - named.length;
  return `out of stock: ${named.join(', ')}${unnamed > 0 ? ` and ${unnamed} more` : ''}`;
}
