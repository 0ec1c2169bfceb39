import { UserRegistered } from '@app/contracts';
import { Database, isUniqueViolation, newId } from '@app/database';
import { Outbox } from '@app/messaging';
import { ConflictProblem } from '@app/service';
import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import type { UsersTables } from '../tables.js';

/** Opens an account; answers with its id. */
export class RegisterUser extends Command<string> {
  constructor(
    readonly name: string,
    readonly email: string,
  ) {
    super();
  }
}

@CommandHandler(RegisterUser)
export class RegisterUserHandler implements ICommandHandler<RegisterUser> {
  constructor(
    private readonly database: Database<UsersTables>,
    private readonly outbox: Outbox,
  ) {}

  async execute({ name, email }: RegisterUser): Promise<string> {
    const id = newId();
    try {
      await this.database.transaction(async (tx) => {
        tx.executeLater(tx.insertInto('users').values({ id, name, email }));
        await this.outbox.add(tx, new UserRegistered({ userId: id, name, email }));
      });
    } catch (error) {
      // The index decides, so two requests that race cannot both win.
      if (!isUniqueViolation(error, 'users_email')) throw error;
      throw new ConflictProblem(`The e-mail address ${email} is taken.`, {
        errors: [{ detail: 'is taken', pointer: '#/email' }],
      });
    }
    return id;
  }
}
