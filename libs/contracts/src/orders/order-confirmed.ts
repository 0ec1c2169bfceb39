import { z } from 'zod';
import { event } from '../event.js';
import { amountMinor, currency } from './fields.js';

/** An order is paid for, and its goods have left the stock. */
export class OrderConfirmed extends event('orders.order.confirmed.v1', {
  subject: 'orderId',
  data: { orderId: z.uuid(), userId: z.uuid(), totalMinor: amountMinor, currency },
  example: {
    orderId: '0199d2c5-11f0-7a52-8c1d-5e0b7f3a9c42',
    userId: '0199d2c4-7b1e-7c3a-9f60-2b8f1f4f2a11',
    totalMinor: 2_375,
    currency: 'EUR',
  },
}) {}
