// The payment provider, over HTTP. Every call may be repeated: the provider recognises its Idempotency-Key.
import { storable } from '@app/messaging';
import { z } from 'zod';
import type { PaymentRequest } from '../payment-requests.js';

const TIMEOUT_MS = 5_000;

const acceptance = z.object({
  reference: z
    .string()
    .min(1)
    .max(200)
    .refine((text) => storable(text) === text),
});

/**
 * Asks for a payment or for a refund; what becomes of it is reported by webhook.
 *
 * @returns the provider's own name of it
 * @throws Error if it was not accepted, or may not have been
 */
export async function callProvider(url: string, request: PaymentRequest): Promise<string> {
  const { id, kind, paymentId, orderId, userId, amountMinor, currency } = request;
  const [path, body] =
    kind === 'charge'
      ? ['payments', { paymentId, orderId, userId, amountMinor, currency }]
      : ['refunds', { refundId: id, paymentId, amountMinor, currency }];
  const response = await fetch(`${url}/${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'idempotency-key': `"${id}"` },
    body: JSON.stringify(body),
    redirect: 'error',
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`the provider answered ${response.status} ${text.slice(0, 200)}`);
  return acceptance.parse(JSON.parse(text)).reference;
}
