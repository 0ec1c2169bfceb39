import { BackboneModule } from '@app/service';
import { Module } from '@nestjs/common';
import { GetUserController } from './get-user/get-user.controller.js';
import { GetUserHandler } from './get-user/get-user.handler.js';
import { RegisterUserController } from './register-user/register-user.controller.js';
import { RegisterUserHandler } from './register-user/register-user.handler.js';

@Module({
  imports: [BackboneModule],
  controllers: [RegisterUserController, GetUserController],
  providers: [RegisterUserHandler, GetUserHandler],
})
export class UsersModule {}
