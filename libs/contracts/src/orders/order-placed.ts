import { z } from 'zod';
import { event } from '../event.js';
import { amountMinor, currency, sku } from './fields.js';

/** Stock is reserved and prices are fixed; the payment has been asked for. Σ lines − discount = total. */
export class OrderPlaced extends event('orders.order.placed.v1', {
  subject: 'orderId',
  data: {
    orderId: z.uuid(),
    userId: z.uuid(),
    lines: z.array(z.object({ sku, quantity: z.int().min(1), unitPriceMinor: amountMinor })).min(1),
    discountMinor: amountMinor,
    totalMinor: amountMinor,
    currency,
  },
  example: {
    orderId: '0199d2c5-11f0-7a52-8c1d-5e0b7f3a9c42',
    userId: '0199d2c4-7b1e-7c3a-9f60-2b8f1f4f2a11',
    lines: [{ sku: 'teapot', quantity: 2, unitPriceMinor: 1_250 }],
    discountMinor: 125,
    totalMinor: 2_375,
    currency: 'EUR',
  },
}) {}
