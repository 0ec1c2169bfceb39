import { UserDeactivated } from '@app/contracts';
import { Database } from '@app/database';
import { Outbox } from '@app/messaging';
import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import type { UsersTables } from '../tables.js';
import { lockUser, noSuchUser, viewOf, type UserView } from '../user-rows.js';

/** Closes an account for good; answers with the user as they are then. */
export class DeactivateUser extends Command<UserView> {
  constructor(
    readonly id: string,
    readonly reason: string | undefined,
  ) {
    super();
  }
}

@CommandHandler(DeactivateUser)
export class DeactivateUserHandler implements ICommandHandler<DeactivateUser> {
  constructor(
    private readonly database: Database<UsersTables>,
    private readonly outbox: Outbox,
  ) {}

  execute({ id, reason }: DeactivateUser): Promise<UserView> {
    return this.database.transaction(async (tx) => {
      const user = await lockUser(tx, id);
      if (!user) throw noSuchUser(id);
      if (user.status === 'deactivated') return viewOf(user);
      const deactivated = await tx
        .updateTable('users')
        .set({ status: 'deactivated', version: user.version + 1 })
        .where('id', '=', id)
        .returningAll()
        .executeTakeFirstOrThrow();
      await this.outbox.add(tx, new UserDeactivated({ userId: id, reason }));
      return viewOf(deactivated);
    });
  }
}
