// Calls to the payment provider that have to be made, as rows: written with the change that needs them, made by a worker after
// the commit, until the provider has accepted. A crash leaves the row, and whoever works next calls again with the same key.
import { Database, newId, type Transaction } from '@app/database';
import { Injectable } from '@nestjs/common';
import { sql } from 'kysely';
import type { OrdersTables } from './tables.js';

type Tx = Transaction<OrdersTables>;

/** The provider behind PAYMENT_PROVIDER_URL. */
const PROVIDER = 'sandbox';

/** A call that a worker has taken on. */
export interface PaymentRequest {
  /** Idempotency-Key: id of the payment, or of its refund. */
  id: string;
  kind: 'charge' | 'refund';
  attempts: number;
  paymentId: string;
  orderId: string;
  userId: string;
  amountMinor: number;
  currency: string;
}

@Injectable()
export class PaymentRequests {
  /** Called when there is something to do. */
  wake: () => void = () => {};

  constructor(private readonly database: Database<OrdersTables>) {}

  /** Opens the payment of an order and has the provider asked for it. */
  async charge(tx: Tx, order: { orderId: string; amountMinor: number; currency: string }): Promise<void> {
    const { orderId: order_id, amountMinor: amount_minor, currency } = order;
    const id = newId();
    await tx.insertInto('payments').values({ id, order_id, amount_minor, currency, provider: PROVIDER }).execute();
    await tx.insertInto('payment_requests').values({ id, payment_id: id, kind: 'charge' }).execute();
    tx.afterCommit(() => this.wake());
  }

  /** Has a payment given back. */
  async refund(
    tx: Tx,
    { paymentId: payment_id, refundId: id }: { paymentId: string; refundId: string },
  ): Promise<void> {
    await tx.insertInto('payment_requests').values({ id, payment_id, kind: 'refund' }).execute();
    tx.afterCommit(() => this.wake());
  }

  /** These orders are not to be paid any more. What the provider has been asked already may still come, and is refunded. */
  async dropCharges(tx: Tx, orderIds: readonly string[]): Promise<void> {
    await tx
      .deleteFrom('payment_requests')
      .where('kind', '=', 'charge')
      .where('payment_id', 'in', tx.selectFrom('payments').select('id').where('order_id', 'in', orderIds))
      .execute();
  }

  /** Takes on up to `limit` calls that are due. They are due again after `leaseMs`, unless their outcome is known by then. */
  async claim(limit: number, leaseMs: number): Promise<PaymentRequest[]> {
    const { rows } = await sql<PaymentRequest & { amountMinor: string }>`
      with due as (
        select id from payment_requests where due_at <= now() order by due_at limit ${limit} for update skip locked)
      update payment_requests r
      set attempts = r.attempts + 1, due_at = now() + ${leaseMs} * interval '1 millisecond'
      from due, payments p, orders o
      where r.id = due.id and p.id = r.payment_id and o.id = p.order_id
      returning r.id, r.kind, r.attempts, p.id as "paymentId", o.id as "orderId", o.user_id as "userId",
        p.amount_minor as "amountMinor", p.currency`.execute(this.database.read);
    return rows.map((row) => ({ ...row, amountMinor: Number(row.amountMinor) }));
  }

  /** The provider will do it, and report. */
  async accepted({ id, kind, paymentId }: PaymentRequest, reference: string): Promise<void> {
    await this.database.transaction(async (tx) => {
      if (kind === 'charge') {
        await tx
          .updateTable('payments')
          .set({ provider_reference: reference })
          .where('id', '=', paymentId)
          .where('provider_reference', 'is', null)
          .execute();
      }
      await tx.deleteFrom('payment_requests').where('id', '=', id).execute();
    });
  }

  /** The outcome is not known: again in `afterMs`, unless somebody else has taken it on. */
  async failed({ id, attempts }: PaymentRequest, error: string, afterMs: number): Promise<void> {
    await this.database.read
      .updateTable('payment_requests')
      .set({ error, due_at: sql<Date>`now() + ${afterMs} * interval '1 millisecond'` })
      .where('id', '=', id)
      .where('attempts', '=', attempts)
      .execute();
  }
}
