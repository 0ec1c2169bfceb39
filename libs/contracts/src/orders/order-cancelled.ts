import { z } from 'zod';
import { event } from '../event.js';

/** An order will not be fulfilled; what was reserved for it is free again. */
export class OrderCancelled extends event('orders.order.cancelled.v1', {
  subject: 'orderId',
  data: { orderId: z.uuid(), userId: z.uuid(), reason: z.string().max(500) },
  example: {
    orderId: '0199d2c5-11f0-7a52-8c1d-5e0b7f3a9c42',
    userId: '0199d2c4-7b1e-7c3a-9f60-2b8f1f4f2a11',
    reason: 'payment declined',
  },
}) {}
