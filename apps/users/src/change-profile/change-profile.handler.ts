import { UserProfileChanged } from '@app/contracts';
import { Database, isUniqueViolation } from '@app/database';
import { Outbox } from '@app/messaging';
import { ConflictProblem, requireMatch, type Precondition } from '@app/service';
import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import type { UsersTables } from '../tables.js';
import { lockUser, noSuchUser, viewOf, type UserView } from '../user-rows.js';
import { changedProfile, type Profile } from '../user.js';

/** Changes the name, the e-mail address or both; answers with the user as they are then. */
export class ChangeProfile extends Command<UserView> {
  constructor(
    readonly id: string,
    readonly change: Partial<Profile>,
    readonly ifMatch: Precondition,
  ) {
    super();
  }
}

@CommandHandler(ChangeProfile)
export class ChangeProfileHandler implements ICommandHandler<ChangeProfile> {
  constructor(
    private readonly database: Database<UsersTables>,
    private readonly outbox: Outbox,
  ) {}

  async execute(command: ChangeProfile): Promise<UserView> {
    try {
      return await this.change(command);
    } catch (error) {
      // The index decides, so two requests that race cannot both win.
      if (!isUniqueViolation(error, 'users_email')) throw error;
      throw new ConflictProblem(`The e-mail address ${command.change.email} is taken.`, {
        errors: [{ detail: 'is taken', pointer: '#/email' }],
      });
    }
  }

  private change({ id, change, ifMatch }: ChangeProfile): Promise<UserView> {
    return this.database.transaction(async (tx) => {
      const user = await lockUser(tx, id);
      if (!user) throw noSuchUser(id);
      if (user.status === 'deactivated') throw new ConflictProblem(`The user ${id} is deactivated.`);
      requireMatch(ifMatch, user.version);
      const profile = changedProfile(user, change);
      if (!profile) return viewOf(user);
      const changed = await tx
        .updateTable('users')
        .set({ ...profile, version: user.version + 1 })
        .where('id', '=', id)
        .returningAll()
        .executeTakeFirstOrThrow();
      const { name, email } = changed;
      await this.outbox.add(tx, new UserProfileChanged({ userId: id, name, email }));
      return viewOf(changed);
    });
  }
}
