import { UserRegistered } from '@app/contracts';
import { Database } from '@app/database';
import type { Reaction } from '@app/messaging';
import { EventsHandler } from '@nestjs/cqrs';
import { sql } from 'kysely';
import { shortageReason } from '../order.js';
import { OrderProcess } from '../order-process.js';
import { idsOf, linesOf, lockOrdersOf } from '../order-rows.js';
import { lockStock, STOCK } from '../stock-rows.js';
import type { OrdersTables } from '../tables.js';

/** Also places the orders that have waited for the customer. */
@EventsHandler(UserRegistered)
export class OpenCustomerOnUserRegistered implements Reaction<UserRegistered> {
  constructor(
    private readonly database: Database<OrdersTables>,
    private readonly process: OrderProcess,
  ) {}

  touches = () => [STOCK];

  async handle({ userId, name, email }: UserRegistered): Promise<void> {
    const { tx } = this.database;
    const customer = { status: 'active', name, email, known_since: sql<Date>`now()` } as const;
    await tx
      .insertInto('customers')
      .values({ user_id: userId, ...customer })
      .onConflict((waiting) => waiting.column('user_id').doUpdateSet(customer))
      .execute();
    const waiting = await lockOrdersOf(tx, userId, ['awaiting-customer']);
    if (waiting.length === 0) return;
    // All of it at once, in the order of the SKUs: order by order would be out of order, and in the way of others.
    await lockStock(tx, await linesOf(tx, idsOf(waiting)));
    for (const order of waiting) {
      const shortages = await this.process.place(tx, order, 'standard');
      if (shortages.length === 0) continue;
      await this.process.cancel(tx, [order], shortageReason(shortages));
    }
  }
}
