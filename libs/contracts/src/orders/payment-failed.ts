import { event } from '../event.js';
import { paymentFields } from './fields.js';

/** The provider or the customer has refused; nothing was charged. */
export class PaymentFailed extends event('orders.payment.failed.v1', {
  subject: 'paymentId',
  data: paymentFields,
  example: {
    paymentId: '0199d2c5-2a77-7d10-9b3e-c4f1a8d6e053',
    orderId: '0199d2c5-11f0-7a52-8c1d-5e0b7f3a9c42',
    userId: '0199d2c4-7b1e-7c3a-9f60-2b8f1f4f2a11',
    amountMinor: 2_375,
    currency: 'EUR',
    provider: 'sandbox',
    providerReference: 'pay_7Qm2',
    reason: 'card declined',
  },
}) {}
