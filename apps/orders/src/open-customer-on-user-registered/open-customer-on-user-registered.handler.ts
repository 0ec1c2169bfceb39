import { UserRegistered } from '@app/contracts';
import { Database } from '@app/database';
import type { Reaction } from '@app/messaging';
import { EventsHandler } from '@nestjs/cqrs';
import type { OrdersTables } from '../tables.js';

@EventsHandler(UserRegistered)
export class OpenCustomerOnUserRegistered implements Reaction<UserRegistered> {
  constructor(private readonly database: Database<OrdersTables>) {}

  /** Only the customer's own row. */
  touches = () => [];

  async handle({ userId, name, email }: UserRegistered): Promise<void> {
    await this.database.tx.insertInto('customers').values({ user_id: userId, name, email }).execute();
  }
}
