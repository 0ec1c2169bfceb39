import { Database } from '@app/database';
import { Query, QueryHandler, type IQueryHandler } from '@nestjs/cqrs';
import type { UsersTables } from '../tables.js';
import { noSuchUser, viewOf, type UserView } from '../user-rows.js';

export class GetUser extends Query<UserView> {
  constructor(readonly id: string) {
    super();
  }
}

@QueryHandler(GetUser)
export class GetUserHandler implements IQueryHandler<GetUser> {
  constructor(private readonly database: Database<UsersTables>) {}

  async execute({ id }: GetUser): Promise<UserView> {
    const user = await this.database.read.selectFrom('users').selectAll().where('id', '=', id).executeTakeFirst();
    if (!user) throw noSuchUser(id);
    return viewOf(user);
  }
}
