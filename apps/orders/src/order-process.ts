// The steps of the order process that several use cases share. Each does all that belongs to it, in the transaction of its
// caller, who has locked the orders. Locks are taken in one order everywhere: customer, order, payment, stock by SKU.
import { OrderCancelled, OrderConfirmed, OrderDeadlinePassed, OrderPlaced, type Tier } from '@app/contracts';
import type { Transaction } from '@app/database';
import { Outbox, Timers } from '@app/messaging';
import { Injectable } from '@nestjs/common';
import { sql } from 'kysely';
import { OrdersConfig } from './config.js';
import { totalOf } from './money.js';
import { hasReserved, isOpen } from './order.js';
import { addHistory, idsOf, linesOf, type OrderRow } from './order-rows.js';
import { PaymentRequests } from './payment-requests.js';
import { handOver, release, reserve, shortagesOf, type Quantity } from './stock.js';
import { lockStock, saveStock } from './stock-rows.js';
import type { OrdersTables } from './tables.js';

type Tx = Transaction<OrdersTables>;
type Waiting = Pick<OrderRow, 'id' | 'user_id' | 'currency'>;

@Injectable()
export class OrderProcess {
  constructor(
    private readonly outbox: Outbox,
    private readonly timers: Timers,
    private readonly config: OrdersConfig,
    private readonly requests: PaymentRequests,
  ) {}

  /** The order waits for its customer to be known, but not for ever. Nothing is promised to it. */
  async awaitCustomer(tx: Tx, { id }: Waiting): Promise<void> {
    await tx
      .updateTable('orders')
      .set({ due_at: inMs(this.config.customerTimeoutMs) })
      .where('id', '=', id)
      .execute();
    await addHistory(tx, [id], 'awaiting-customer');
    await this.#expectWithin(tx, this.config.customerTimeoutMs, id, 'customer');
  }

  /**
   * Promises the goods to the order, fixes its price and asks for the payment.
   *
   * @returns what is out of stock; if anything is, nothing was done
   */
  async place(tx: Tx, { id, user_id: userId, currency }: Waiting, tier: Tier): Promise<Quantity[]> {
    const lines = await linesOf(tx, [id]);
    const stock = await lockStock(tx, lines);
    const shortages = shortagesOf(stock, lines);
    if (shortages.length > 0) return shortages;
    await saveStock(tx, this.outbox, stock, reserve(stock, lines));
    const { discountMinor, totalMinor } = totalOf(lines, tier);
    await tx
      .updateTable('orders')
      .set({ status: 'awaiting-payment', discount_minor: discountMinor, total_minor: totalMinor })
      .set({ due_at: inMs(this.config.paymentTimeoutMs) })
      .where('id', '=', id)
      .execute();
    await addHistory(tx, [id], 'placed');
    await addHistory(tx, [id], 'awaiting-payment');
    await this.#expectWithin(tx, this.config.paymentTimeoutMs, id, 'payment');
    await this.requests.charge(tx, { orderId: id, amountMinor: totalMinor, currency });
    await this.outbox.add(tx, new OrderPlaced({ orderId: id, userId, lines, discountMinor, totalMinor, currency }));
    return [];
  }

  /** The order is paid for: its goods leave the stock. Only while it awaits the payment. */
  async confirm(tx: Tx, { id, user_id: userId, total_minor, currency }: OrderRow): Promise<void> {
    await this.#end(tx, [id], 'confirmed');
    const lines = await linesOf(tx, [id]);
    const stock = await lockStock(tx, lines);
    await saveStock(tx, this.outbox, stock, handOver(stock, lines));
    const totalMinor = Number(total_minor);
    await this.outbox.add(tx, new OrderConfirmed({ orderId: id, userId, totalMinor, currency }));
  }

  /** Cancels those of the orders that are still open: their goods are free again, and nobody is charged any more. */
  async cancel(tx: Tx, orders: readonly OrderRow[], reason: string): Promise<void> {
    const open = orders.filter(({ status }) => isOpen(status));
    if (open.length === 0) return;
    await this.#end(tx, idsOf(open), 'cancelled', reason);
    const reserving = idsOf(open.filter(({ status }) => hasReserved(status)));
    if (reserving.length > 0) {
      const lines = await linesOf(tx, reserving);
      const stock = await lockStock(tx, lines);
      await saveStock(tx, this.outbox, stock, release(stock, lines));
    }
    for (const { id, user_id: userId } of open) {
      await this.outbox.add(tx, new OrderCancelled({ orderId: id, userId, reason }));
    }
  }

  async #end(tx: Tx, ids: string[], status: 'confirmed' | 'cancelled', reason?: string): Promise<void> {
    await tx.updateTable('orders').set({ status, due_at: null }).where('id', 'in', ids).execute();
    await addHistory(tx, ids, status, reason);
    await this.requests.dropCharges(tx, ids);
    for (const id of ids) await this.timers.cancel(tx, timerOf(id));
  }

  async #expectWithin(tx: Tx, ms: number, orderId: string, what: 'customer' | 'payment'): Promise<void> {
    const event = new OrderDeadlinePassed({ orderId, waitedFor: what });
    await this.timers.set(tx, { afterMs: ms }, event, timerOf(orderId));
  }
}

/** An order has one deadline at a time. */
const timerOf = (orderId: string): string => `deadline of order ${orderId}`;

/** By the clock of the database, as timers are. */
const inMs = (ms: number) => sql<Date>`now() + ${ms} * interval '1 millisecond'`;
