// Money is whole minor units (cents) of one currency.
import type { Tier } from '@app/contracts';

/** What a membership takes off the price of an order. */
export const DISCOUNT_PERCENT: Readonly<Record<Tier, number>> = { standard: 0, silver: 5, gold: 10 };

// The sum of the largest order is a safe integer, also times the highest percentage.
export const MAX_PRICE_MINOR = 1_000_000_000;
export const MAX_QUANTITY = 1_000;
export const MAX_LINES = 100;

export interface PricedLine {
  quantity: number;
  unitPriceMinor: number;
}

/** Σ lines − discount = total; the discount is rounded half-up, once, on the sum. */
export function totalOf(lines: readonly PricedLine[], tier: Tier): { discountMinor: number; totalMinor: number } {
  const sum = lines.reduce((total, { quantity, unitPriceMinor }) => total + quantity * unitPriceMinor, 0);
  const discountMinor = Math.floor((sum * DISCOUNT_PERCENT[tier] + 50) / 100);
  return { discountMinor, totalMinor: sum - discountMinor };
}
