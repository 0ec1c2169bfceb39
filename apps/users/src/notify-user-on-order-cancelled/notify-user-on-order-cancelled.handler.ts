import { OrderCancelled } from '@app/contracts';
import { Database } from '@app/database';
import type { Reaction } from '@app/messaging';
import { EventsHandler } from '@nestjs/cqrs';
import { notify } from '../notification-rows.js';
import type { UsersTables } from '../tables.js';

@EventsHandler(OrderCancelled)
export class NotifyUserOnOrderCancelled implements Reaction<OrderCancelled> {
  constructor(private readonly database: Database<UsersTables>) {}

  /** Adds a row of its own; of the user it asks only whether they exist. */
  touches = () => [];

  async handle(event: OrderCancelled): Promise<void> {
    await notify(this.database.tx, event, 'order-cancelled', `Your order is cancelled: ${event.reason}`);
  }
}
