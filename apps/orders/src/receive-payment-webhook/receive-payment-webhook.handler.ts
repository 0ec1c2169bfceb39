import { PaymentCompleted, PaymentFailed, PaymentRefunded } from '@app/contracts';
import { Database, newId, type Transaction } from '@app/database';
import { Outbox } from '@app/messaging';
import { NotFoundProblem } from '@app/service';
import { Logger } from '@nestjs/common';
import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { sql, type Selectable, type UpdateObject } from 'kysely';
import { hasReserved } from '../order.js';
import { OrderProcess } from '../order-process.js';
import { lockOrder, type OrderRow } from '../order-rows.js';
import { consequenceOf, type Report } from '../payment.js';
import { PaymentRequests } from '../payment-requests.js';
import type { OrdersTables } from '../tables.js';

type Tx = Transaction<OrdersTables>;
type PaymentRow = Selectable<OrdersTables['payments']>;

/** What the provider has reported. */
export interface PaymentReport extends Report {
  paymentId: string;
  reference: string;
  reason?: string | undefined;
}

/** The provider reports what has become of a payment. The same `webhookId` again does nothing. */
export class ReceivePaymentWebhook extends Command<void> {
  constructor(
    readonly webhookId: string,
    readonly report: PaymentReport,
  ) {
    super();
  }
}

@CommandHandler(ReceivePaymentWebhook)
export class ReceivePaymentWebhookHandler implements ICommandHandler<ReceivePaymentWebhook> {
  readonly #logger = new Logger('Payments');

  constructor(
    private readonly database: Database<OrdersTables>,
    private readonly outbox: Outbox,
    private readonly process: OrderProcess,
    private readonly requests: PaymentRequests,
  ) {}

  execute({ webhookId, report }: ReceivePaymentWebhook): Promise<void> {
    return this.database.transaction(async (tx) => {
      if (!(await isNew(tx, webhookId))) return;
      const { order, payment } = await lockPayment(tx, report.paymentId);
      const consequence = consequenceOf(report, { ...payment, amountMinor: Number(payment.amount_minor) });
      switch (consequence.kind) {
        case 'complete':
          return this.complete(tx, order, payment, report);
        case 'fail':
          return this.fail(tx, order, payment, report);
        case 'finish-refund':
          return this.finishRefund(tx, order, payment);
        case 'hold':
          return this.hold(tx, payment, consequence.why);
        case 'nothing':
          return;
      }
    });
  }

  /** Who pays for an order that is cancelled meanwhile gets the money back. */
  private async complete(tx: Tx, order: OrderRow, payment: PaymentRow, { reference }: PaymentReport): Promise<void> {
    const wanted = hasReserved(order.status);
    const completed = await update(tx, payment, {
      provider_reference: reference,
      ...(wanted
        ? { status: 'completed' }
        : {
            ...{ status: 'refunding', refund_id: newId(), refunding_since: sql<Date>`now()` },
            reason: 'paid after the order was cancelled',
          }),
    });
    await this.outbox.add(tx, new PaymentCompleted(factsOf(order, { ...completed, reason: null })));
    if (wanted) return this.process.confirm(tx, order);
    await this.requests.refund(tx, { paymentId: payment.id, refundId: completed.refund_id! });
  }

  private async fail(tx: Tx, order: OrderRow, payment: PaymentRow, report: PaymentReport): Promise<void> {
    const { reference: provider_reference, reason = 'declined' } = report;
    const failed = await update(tx, payment, { status: 'failed', provider_reference, reason });
    await this.outbox.add(tx, new PaymentFailed(factsOf(order, failed)));
    await this.process.cancel(tx, [order], `payment failed: ${reason}`);
  }

  private async finishRefund(tx: Tx, order: OrderRow, payment: PaymentRow): Promise<void> {
    const refunded = await update(tx, payment, { status: 'refunded' });
    await this.outbox.add(tx, new PaymentRefunded(factsOf(order, refunded)));
  }

  private async hold(tx: Tx, payment: PaymentRow, why: string): Promise<void> {
    await update(tx, payment, { held: why });
    const what = `payment ${payment.id} of order ${payment.order_id}`;
    tx.afterCommit(() => this.#logger.error(`${what} is held until somebody looks at it: ${why}`));
  }
}

/**
 * Each new webhook takes up to ten with it that are 30 days old: providers repeat for days at most, so the table stays as large as
 * what a month brings.
 */
async function isNew(tx: Tx, id: string): Promise<boolean> {
  const { numInsertedOrUpdatedRows } = await tx
    .with('expired', (known) =>
      known
        .selectFrom('payment_webhooks')
        .select('id')
        .where('received_at', '<=', sql<Date>`now() - interval '30 days'`)
        .where('id', '<>', id)
        .orderBy('received_at')
        .limit(10)
        .forUpdate()
        .skipLocked(),
    )
    .with('pruned', (known) =>
      known.deleteFrom('payment_webhooks').where('id', 'in', (of) => of.selectFrom('expired').select('id')),
    )
    .insertInto('payment_webhooks')
    .values({ id })
    .onConflict((known) => known.doNothing())
    .executeTakeFirst();
  return numInsertedOrUpdatedRows === 1n;
}

async function lockPayment(tx: Tx, id: string): Promise<{ order: OrderRow; payment: PaymentRow }> {
  const found = await tx.selectFrom('payments').select('order_id').where('id', '=', id).executeTakeFirst();
  if (!found) throw new NotFoundProblem(`There is no payment ${id}.`);
  const order = await lockOrder(tx, found.order_id);
  const payment = await tx
    .selectFrom('payments')
    .selectAll()
    .where('id', '=', id)
    .forNoKeyUpdate()
    .executeTakeFirstOrThrow();
  return { order: order!, payment };
}

const update = (tx: Tx, { id }: PaymentRow, change: UpdateObject<OrdersTables, 'payments'>): Promise<PaymentRow> =>
  tx.updateTable('payments').set(change).where('id', '=', id).returningAll().executeTakeFirstOrThrow();

/** What every event of a payment tells. */
const factsOf = ({ user_id: userId }: OrderRow, payment: PaymentRow) => ({
  paymentId: payment.id,
  orderId: payment.order_id,
  userId,
  amountMinor: Number(payment.amount_minor),
  currency: payment.currency,
  provider: payment.provider,
  ...(payment.provider_reference !== null && { providerReference: payment.provider_reference }),
  ...(payment.reason !== null && { reason: payment.reason }),
});
