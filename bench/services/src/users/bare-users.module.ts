import { BackboneModule } from '@app/service';
import { Database } from '@app/database';
import { Module } from '@nestjs/common';
import { CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { v7 as uuidv7 } from 'uuid';
import { RegisterUserController } from '../../../../apps/users/src/register-user/register-user.controller.js';
import { RegisterUser } from '../../../../apps/users/src/register-user/register-user.handler.js';
import type { UsersTables } from '../../../../apps/users/src/tables.js';

/** `POST /users` without its event: one insert that commits by itself. */
@CommandHandler(RegisterUser)
export class InsertUserHandler implements ICommandHandler<RegisterUser> {
  constructor(private readonly database: Database<UsersTables>) {}

  async execute({ name, email }: RegisterUser): Promise<string> {
    const id = uuidv7();
    await this.database.read.insertInto('users').values({ id, name, email }).execute();
    return id;
  }
}

@Module({ imports: [BackboneModule], controllers: [RegisterUserController], providers: [InsertUserHandler] })
export class BareUsersModule {}
