import { ApiProblems, etagHeader, etagOf, uuidParam } from '@app/service';
import { Body, Controller, HttpCode, Param, Post, Res } from '@nestjs/common';
import { CommandBus } from '@nestjs/cqrs';
import { ApiBody, ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import type { FastifyReply } from 'fastify';
import { z } from 'zod';
import { userView } from '../user-rows.js';
import { DeactivateUser } from './deactivate-user.handler.js';

const deactivation = z
  .strictObject({ reason: z.string().trim().min(1).max(500).optional().meta({ example: 'Moved away' }) })
  .meta({ id: 'Deactivation' })
  .prefault({});

@ApiTags('users')
@Controller('users')
export class DeactivateUserController {
  constructor(private readonly commands: CommandBus) {}

  @Post(':id/deactivate')
  @HttpCode(200)
  @ApiOperation({ summary: "Close a user's account" })
  @ApiProblems({ 404: 'There is no such user.' })
  @ApiBody({ required: false })
  @ApiOkResponse({
    description: 'The user; the first time `users.user.deactivated.v1` is recorded with it.',
    headers: etagHeader,
    standardSchema: userView,
  })
  async deactivate(
    @Param('id', { schema: uuidParam }) id: string,
    @Body({ schema: deactivation }) { reason }: z.infer<typeof deactivation>,
    @Res({ passthrough: true }) reply: FastifyReply,
  ) {
    const user = await this.commands.execute(new DeactivateUser(id, reason));
    reply.header('etag', etagOf(user.version));
    return user;
  }
}
