import { UserTierChanged } from '@app/contracts';
import { Database } from '@app/database';
import type { Reaction } from '@app/messaging';
import { EventsHandler } from '@nestjs/cqrs';
import type { OrdersTables } from '../tables.js';

/** From the next order on. */
@EventsHandler(UserTierChanged)
export class ChangeDiscountOnUserTierChanged implements Reaction<UserTierChanged> {
  constructor(private readonly database: Database<OrdersTables>) {}

  /** Only the customer's own row. */
  touches = () => [];

  async handle({ userId, to: tier }: UserTierChanged): Promise<void> {
    await this.database.tx.updateTable('customers').set({ tier }).where('user_id', '=', userId).execute();
  }
}
