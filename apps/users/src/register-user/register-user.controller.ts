import { ApiProblems, Idempotency, IdempotencyKey, type KeyedRequest } from '@app/service';
import { Body, Controller, Post, Res } from '@nestjs/common';
import { CommandBus } from '@nestjs/cqrs';
import { ApiCreatedResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import type { FastifyReply } from 'fastify';
import type { z } from 'zod';
import { userView } from '../user-rows.js';
import { profile } from '../user.js';
import { RegisterUser } from './register-user.handler.js';

const registration = profile.meta({ id: 'Registration' });
const registered = userView.pick({ id: true, name: true, email: true }).meta({ id: 'RegisteredUser' });

@ApiTags('users')
@Controller('users')
export class RegisterUserController {
  constructor(
    private readonly commands: CommandBus,
    private readonly idempotency: Idempotency,
  ) {}

  @Post()
  @ApiOperation({ summary: 'Register a user' })
  @ApiProblems({
    409: 'The e-mail address is taken, or a request with this Idempotency-Key is still running.',
    422: 'The Idempotency-Key was used for another request.',
  })
  @ApiCreatedResponse({
    description: 'Registered; `users.user.registered.v1` is recorded with it.',
    headers: { Location: { description: 'Where the user is.', schema: { type: 'string', example: '/users/…' } } },
    standardSchema: registered,
  })
  register(
    @Body({ schema: registration }) { name, email }: z.infer<typeof registration>,
    @IdempotencyKey() key: KeyedRequest | undefined,
    @Res({ passthrough: true }) reply: FastifyReply,
  ) {
    return this.idempotency.once(key, reply, async () => {
      const id = await this.commands.execute(new RegisterUser(name, email));
      reply.header('location', `/users/${id}`);
      return { id, name, email };
    });
  }
}
