import { UserDeactivated } from '@app/contracts';
import { Database } from '@app/database';
import type { Reaction } from '@app/messaging';
import { EventsHandler } from '@nestjs/cqrs';
import { OrderProcess } from '../order-process.js';
import { lockOrdersOf } from '../order-rows.js';
import { STOCK } from '../stock-rows.js';
import type { OrdersTables } from '../tables.js';

@EventsHandler(UserDeactivated)
export class CancelOrdersOnUserDeactivated implements Reaction<UserDeactivated> {
  constructor(
    private readonly database: Database<OrdersTables>,
    private readonly process: OrderProcess,
  ) {}

  touches = () => [STOCK];

  /** The customer first: an order that is being placed comes either before, and is found here, or after, and is refused. */
  async handle({ userId }: UserDeactivated): Promise<void> {
    const { tx } = this.database;
    await tx.updateTable('customers').set({ status: 'deactivated' }).where('user_id', '=', userId).execute();
    const orders = await lockOrdersOf(tx, userId, ['awaiting-customer', 'awaiting-payment']);
    await this.process.cancel(tx, orders, 'the account was closed');
  }
}
