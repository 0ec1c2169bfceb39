import { ServiceConfig, variable, wholeNumber, type Variable } from '@app/service';
import { z } from 'zod';

/** The configuration of this service. */
export abstract class OrdersConfig extends ServiceConfig {
  abstract readonly paymentProviderUrl: string;
  abstract readonly paymentWebhookSecret: string;
  abstract readonly paymentTimeoutMs: number;
  abstract readonly customerTimeoutMs: number;
}

const DAY_MS = 86_400_000;
const QUARTER_OF_AN_HOUR_MS = '900000';

/** What this service reads besides the variables of all services. */
export const ordersVariables = {
  paymentProviderUrl: variable({
    name: 'PAYMENT_PROVIDER_URL',
    meaning: 'Where orders asks for payments.',
    default: 'http://localhost:3002',
    example: 'http://localhost:3002',
    schema: z
      .url({ protocol: /^https?$/, error: 'must be a URL http://host:port' })
      .refine((url) => !URL.canParse(url) || new URL(url).username === '', {
        error: 'must not hold a user or a password',
      })
      .transform((url) => url.replace(/\/+$/, '')),
  }),
  paymentWebhookSecret: variable({
    name: 'PAYMENT_WEBHOOK_SECRET',
    meaning: 'Signs what the payment provider reports (Standard Webhooks): whsec_ and 24 to 64 bytes in base64.',
    example: 'whsec_Zm9yIHRoZSBzYW5kYm94LCBub3RoaW5nIGVsc2U=',
    secret: true,
    schema: z.string().refine(isWebhookSecret, { error: 'must be whsec_ and 24 to 64 bytes in base64' }),
  }),
  paymentTimeoutMs: variable({
    name: 'PAYMENT_TIMEOUT_MS',
    meaning: 'Milliseconds until an order that is not paid for is cancelled.',
    default: QUARTER_OF_AN_HOUR_MS,
    example: QUARTER_OF_AN_HOUR_MS,
    schema: wholeNumber(100, DAY_MS),
  }),
  customerTimeoutMs: variable({
    name: 'CUSTOMER_TIMEOUT_MS',
    meaning: 'Milliseconds until an order of somebody who is not known as a user (yet) is cancelled.',
    default: QUARTER_OF_AN_HOUR_MS,
    example: QUARTER_OF_AN_HOUR_MS,
    schema: wholeNumber(100, DAY_MS),
  }),
} satisfies Record<Exclude<keyof OrdersConfig, keyof ServiceConfig>, Variable>;

function isWebhookSecret(text: string): boolean {
  const base64 = /^whsec_([A-Za-z0-9+/]+={0,2})$/.exec(text)?.[1];
  const { length } = Buffer.from(base64 ?? '', 'base64');
  return length >= 24 && length <= 64;
}
