import { OrderConfirmed } from '@app/contracts';
import { Database } from '@app/database';
import type { Reaction } from '@app/messaging';
import { EventsHandler } from '@nestjs/cqrs';
import { money } from '../money.js';
import { notify } from '../notification-rows.js';
import type { UsersTables } from '../tables.js';

@EventsHandler(OrderConfirmed)
export class NotifyUserOnOrderConfirmed implements Reaction<OrderConfirmed> {
  constructor(private readonly database: Database<UsersTables>) {}

  /** Adds a row of its own; of the user it asks only whether they exist. */
  touches = () => [];

  async handle(event: OrderConfirmed): Promise<void> {
    const total = money(event.totalMinor, event.currency);
    await notify(this.database.tx, event, 'order-confirmed', `Your order is confirmed; you paid ${total}.`);
  }
}
