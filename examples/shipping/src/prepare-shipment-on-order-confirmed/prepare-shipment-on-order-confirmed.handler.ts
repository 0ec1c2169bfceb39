import { OrderConfirmed } from '@app/contracts';
import { Database } from '@app/database';
import type { Reaction } from '@app/messaging';
import { EventsHandler } from '@nestjs/cqrs';
import type { ShippingTables } from '../tables.js';

@EventsHandler(OrderConfirmed)
export class PrepareShipmentOnOrderConfirmed implements Reaction<OrderConfirmed> {
  constructor(private readonly database: Database<ShippingTables>) {}

  /** Only the order's own row. */
  touches = () => [];

  async handle({ orderId, userId }: OrderConfirmed): Promise<void> {
    await this.database.tx.insertInto('shipments').values({ order_id: orderId, user_id: userId }).execute();
  }
}
