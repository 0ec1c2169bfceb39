import { Database } from '@app/database';
import { toPage, type Page } from '@app/service';
import { Query, QueryHandler, type IQueryHandler } from '@nestjs/cqrs';
import { sql } from 'kysely';
import type { UsersTables } from '../tables.js';
import { viewOf, type UserView } from '../user-rows.js';

/** Users in the order of their registration, which is the order of their ids; with `email`, the one who has it. */
export class ListUsers extends Query<Page<UserView>> {
  constructor(
    readonly limit: number,
    readonly after: string | undefined,
    readonly email: string | undefined,
  ) {
    super();
  }
}

@QueryHandler(ListUsers)
export class ListUsersHandler implements IQueryHandler<ListUsers> {
  constructor(private readonly database: Database<UsersTables>) {}

  async execute({ limit, after, email }: ListUsers): Promise<Page<UserView>> {
    let users = this.database.read.selectFrom('users').selectAll();
    if (after !== undefined) users = users.where('id', '>', after);
    if (email !== undefined) users = users.where(sql`lower(email)`, '=', sql`lower(${email})`);
    const found = await users
      .orderBy('id')
      .limit(limit + 1)
      .execute();
    return toPage(found.map(viewOf), limit, ({ id }) => id);
  }
}
