import { Database } from '@app/database';
import { NotFoundProblem } from '@app/service';
import { Query, QueryHandler, type IQueryHandler } from '@nestjs/cqrs';
import type { OrdersTables } from '../tables.js';

/** A user as this service knows them. */
export interface CustomerView {
  userId: string;
  name: string;
  email: string;
  knownSince: Date;
}

export class GetCustomer extends Query<CustomerView> {
  constructor(readonly userId: string) {
    super();
  }
}

@QueryHandler(GetCustomer)
export class GetCustomerHandler implements IQueryHandler<GetCustomer> {
  constructor(private readonly database: Database<OrdersTables>) {}

  async execute({ userId }: GetCustomer): Promise<CustomerView> {
    const customer = await this.database.read
      .selectFrom('customers')
      .select(['user_id as userId', 'name', 'email', 'known_since as knownSince'])
      .where('user_id', '=', userId)
      .executeTakeFirst();
    if (!customer) throw new NotFoundProblem(`No customer ${userId} is known here (yet).`);
    return customer;
  }
}
