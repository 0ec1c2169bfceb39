import { OrderDeadlinePassed } from '@app/contracts';
import { Database } from '@app/database';
import type { Reaction } from '@app/messaging';
import { EventsHandler } from '@nestjs/cqrs';
import { overdueReason } from '../order.js';
import { OrderProcess } from '../order-process.js';
import { lockOrder } from '../order-rows.js';
import { STOCK } from '../stock-rows.js';
import type { OrdersTables } from '../tables.js';

@EventsHandler(OrderDeadlinePassed)
export class CancelOrderOnOrderDeadlinePassed implements Reaction<OrderDeadlinePassed> {
  constructor(
    private readonly database: Database<OrdersTables>,
    private readonly process: OrderProcess,
  ) {}

  touches = () => [STOCK];

  async handle({ orderId, waitedFor }: OrderDeadlinePassed): Promise<void> {
    const { tx } = this.database;
    const order = await lockOrder(tx, orderId);
    const reason = order && overdueReason(order.status, waitedFor);
    if (order && reason) await this.process.cancel(tx, [order], reason);
  }
}
