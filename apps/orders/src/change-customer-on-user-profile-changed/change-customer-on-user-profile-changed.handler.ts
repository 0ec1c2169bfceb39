import { UserProfileChanged } from '@app/contracts';
import { Database } from '@app/database';
import type { Reaction } from '@app/messaging';
import { EventsHandler } from '@nestjs/cqrs';
import type { OrdersTables } from '../tables.js';

@EventsHandler(UserProfileChanged)
export class ChangeCustomerOnUserProfileChanged implements Reaction<UserProfileChanged> {
  constructor(private readonly database: Database<OrdersTables>) {}

  /** Only the customer's own row. */
  touches = () => [];

  async handle({ userId, name, email }: UserProfileChanged): Promise<void> {
    await this.database.tx.updateTable('customers').set({ name, email }).where('user_id', '=', userId).execute();
  }
}
