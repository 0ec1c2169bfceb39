import { tier } from '@app/contracts';
import { Database } from '@app/database';
import { NotFoundProblem } from '@app/service';
import { Query, QueryHandler, type IQueryHandler } from '@nestjs/cqrs';
import { z } from 'zod';
import { CUSTOMER_STATUSES } from '../customer.js';
import type { OrdersTables } from '../tables.js';

/** A user as this service knows them. */
export const customerView = z
  .object({
    userId: z.uuid(),
    status: z
      .enum(CUSTOMER_STATUSES)
      .meta({ description: 'unknown: has ordered before the registration was heard of' }),
    tier,
    name: z.string().optional(),
    email: z.string().optional(),
    knownSince: z.iso.datetime().optional(),
  })
  .meta({ id: 'Customer' });
export type CustomerView = z.infer<typeof customerView>;

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
      .selectAll()
      .where('user_id', '=', userId)
      .executeTakeFirst();
    if (!customer) throw new NotFoundProblem(`No customer ${userId} is known here (yet).`);
    const { status, tier, name, email, known_since } = customer;
    if (name === null || email === null || known_since === null) return { userId, status, tier };
    return { userId, status, tier, name, email, knownSince: known_since.toISOString() };
  }
}
