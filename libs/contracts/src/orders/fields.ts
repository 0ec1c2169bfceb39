// What several events of `orders` have in common.
import { z } from 'zod';

/** An amount in the smallest unit of its currency, e.g. cents. */
export const amountMinor = z.int().min(0);

/** ISO 4217. */
export const currency = z.string().regex(/^[A-Z]{3}$/, 'must be three capital letters (ISO 4217)');

/** The catalogue's name of a product. */
export const sku = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, 'must be 1 to 64 letters, digits, ".", "_", "-"');

export const stockStatus = z.enum(['in-stock', 'low-stock', 'out-of-stock']);
export type StockStatus = z.infer<typeof stockStatus>;

/** What every event of a payment tells. */
export const paymentFields = {
  paymentId: z.uuid(),
  orderId: z.uuid(),
  userId: z.uuid(),
  amountMinor,
  currency,
  provider: z.string().min(1).max(100),
  /** The provider's own name of the payment. Missing if it never heard of it. */
  providerReference: z.string().max(200).optional(),
  reason: z.string().max(500).optional(),
};
