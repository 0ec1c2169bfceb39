import { Database } from '@app/database';
import { NotFoundProblem } from '@app/service';
import { Query, QueryHandler, type IQueryHandler } from '@nestjs/cqrs';
import type { UsersTables } from '../tables.js';

/** A user as others see them. */
export interface UserView {
  id: string;
  name: string;
  email: string;
  registeredAt: Date;
}

export class GetUser extends Query<UserView> {
  constructor(readonly id: string) {
    super();
  }
}

@QueryHandler(GetUser)
export class GetUserHandler implements IQueryHandler<GetUser> {
  constructor(private readonly database: Database<UsersTables>) {}

  async execute({ id }: GetUser): Promise<UserView> {
    const user = await this.database.read
      .selectFrom('users')
      .select(['id', 'name', 'email', 'registered_at as registeredAt'])
      .where('id', '=', id)
      .executeTakeFirst();
    if (!user) throw new NotFoundProblem(`There is no user ${id}.`);
    return user;
  }
}
