import { z } from 'zod';
import { event } from '../event.js';

/** An order has waited long enough; only `orders` itself has use for it. */
export class OrderDeadlinePassed extends event('orders.deadline.passed.v1', {
  subject: 'orderId',
  data: { orderId: z.uuid(), waitedFor: z.enum(['customer', 'payment']) },
  example: { orderId: '0199d2c5-11f0-7a52-8c1d-5e0b7f3a9c42', waitedFor: 'payment' },
}) {}
