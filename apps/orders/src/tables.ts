import type { Tier } from '@app/contracts';
import type { ColumnType, Generated, GeneratedAlways } from 'kysely';
import type { CustomerStatus } from './customer.js';
import type { OrderStatus } from './order.js';
import type { PaymentStatus } from './payment.js';

/** A `bigint` column: the driver reads it as text. */
type Amount = ColumnType<string, number, number>;

/** The tables of this service, as its migrations make them. */
export interface OrdersTables {
  customers: {
    user_id: string;
    status: CustomerStatus;
    name: string | null;
    email: string | null;
    tier: Generated<Tier>;
    known_since: Date | null;
  };
  products: {
    sku: string;
    name: string;
    price_minor: Amount;
    currency: string;
    on_hand: Generated<number>;
    reserved: Generated<number>;
    version: Generated<number>;
  };
  orders: {
    id: string;
    user_id: string;
    status: OrderStatus;
    currency: string;
    discount_minor: Amount;
    total_minor: Amount;
    due_at: Date | null;
  };
  order_lines: { order_id: string; line: number; sku: string; quantity: number; unit_price_minor: Amount };
  order_history: {
    order_id: string;
    id: GeneratedAlways<string>;
    status: OrderStatus | 'placed';
    at: Generated<Date>;
    reason: string | null;
  };
  payments: {
    id: string;
    order_id: string;
    status: Generated<PaymentStatus>;
    amount_minor: Amount;
    currency: string;
    provider: string;
    provider_reference: string | null;
    reason: string | null;
    refund_id: string | null;
    refunding_since: Date | null;
    held: string | null;
  };
  payment_requests: {
    id: string;
    payment_id: string;
    kind: 'charge' | 'refund';
    attempts: Generated<number>;
    due_at: Generated<Date>;
    requested_at: Generated<Date>;
    error: string | null;
  };
  payment_webhooks: { id: string; received_at: Generated<Date> };
}
