import { OrderPlaced } from '@app/contracts';
import { Database } from '@app/database';
import type { Reaction } from '@app/messaging';
import { EventsHandler } from '@nestjs/cqrs';
import { money } from '../money.js';
import { notify } from '../notification-rows.js';
import type { UsersTables } from '../tables.js';

@EventsHandler(OrderPlaced)
export class NotifyUserOnOrderPlaced implements Reaction<OrderPlaced> {
  constructor(private readonly database: Database<UsersTables>) {}

  /** Adds a row of its own; of the user it asks only whether they exist. */
  touches = () => [];

  async handle(event: OrderPlaced): Promise<void> {
    const total = money(event.totalMinor, event.currency);
    await notify(this.database.tx, event, 'order-placed', `Your order is placed; it comes to ${total}.`);
  }
}
