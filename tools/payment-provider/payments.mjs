// What the provider does with payments, according to the table of modes. In memory only.
import { randomBytes } from 'node:crypto';
import { report } from './webhooks.mjs';

export const MODES = ['approve', 'decline', 'timeout', 'duplicate', 'late', 'wrong-amount'];
const LATE_MS = 20_000;

/**
 * @typedef {{ mode: string, afterMs?: number }} Mode
 * @typedef {{ paymentId: string, orderId: string, userId: string, amountMinor: number, currency: string }} Charge
 * @typedef {{ refundId: string, paymentId: string, amountMinor: number, currency: string }} Refund
 * @typedef {Charge & { reference: string, mode: string, status: 'pending' | 'completed' | 'failed' | 'refunded',
 *   capturedMinor: number, refundedMinor: number }} Payment
 */

/** @type {Map<string, Mode>} by the id of an order or a user, or "default" */
export const modes = new Map();
/** @type {Map<string, Payment>} */
export const payments = new Map();

/** @param {Charge} charge @returns {Mode} */
const modeOf = ({ orderId, userId }) =>
  modes.get(orderId) ?? modes.get(userId) ?? modes.get('default') ?? { mode: 'approve' };

/** @param {string} prefix */
const newReference = (prefix) => `${prefix}_${randomBytes(9).toString('base64url')}`;

/**
 * @param {Charge} charge
 * @returns {{ reference: string, status: string }}
 */
export function takePayment(charge) {
  const { mode, afterMs = LATE_MS } = modeOf(charge);
  const { paymentId, orderId, userId, amountMinor, currency } = charge;
  /** @type {Payment} */
  const payment = {
    ...{ paymentId, orderId, userId, amountMinor, currency, mode },
    ...{ reference: newReference('pay'), status: 'pending', capturedMinor: 0, refundedMinor: 0 },
  };
  payments.set(paymentId, payment);
  console.log(`payment ${paymentId} of order ${orderId}: ${amountMinor} ${currency}, ${mode}`);
  if (mode === 'late') setTimeout(() => settle(payment), afterMs).unref();
  // Not before the answer to the request is on its way, as with a real one.
  else if (mode !== 'timeout') setImmediate(() => settle(payment));
  return { reference: payment.reference, status: 'pending' };
}

/** @param {Payment} payment */
function settle(payment) {
  const { paymentId, reference, currency, mode } = payment;
  if (mode === 'decline') {
    payment.status = 'failed';
    const { amountMinor } = payment;
    return report('payment.failed', { paymentId, reference, amountMinor, currency, reason: 'card declined' });
  }
  const amountMinor = payment.amountMinor + (mode === 'wrong-amount' ? 1 : 0);
  payment.status = 'completed';
  payment.capturedMinor = amountMinor;
  report('payment.completed', { paymentId, reference, amountMinor, currency }, mode === 'duplicate' ? 2 : 1);
}

/**
 * Gives back, also what was captured in an earlier life that it does not remember.
 * @param {Refund} refund
 * @returns {{ reference: string, status: string }}
 */
export function takeRefund({ paymentId, amountMinor, currency }) {
  const payment = payments.get(paymentId);
  if (payment) {
    payment.status = 'refunded';
    payment.refundedMinor += amountMinor;
  }
  console.log(`refund of payment ${paymentId}: ${amountMinor} ${currency}`);
  const reference = newReference('ref');
  const copies = payment?.mode === 'duplicate' ? 2 : 1;
  setImmediate(() => report('payment.refunded', { paymentId, reference, amountMinor, currency }, copies));
  return { reference, status: 'pending' };
}
