import { ApiProblems, etagHeader, etagOf, IfMatch, uuidParam, type Precondition } from '@app/service';
import { Body, Controller, Param, Patch, Res } from '@nestjs/common';
import { CommandBus } from '@nestjs/cqrs';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import type { FastifyReply } from 'fastify';
import type { z } from 'zod';
import { userView } from '../user-rows.js';
import { profile } from '../user.js';
import { ChangeProfile } from './change-profile.handler.js';

const profileChange = profile
  .partial()
  .refine((change) => Object.keys(change).length > 0, { error: 'must have a name or an e-mail address' })
  .meta({ id: 'ProfileChange', example: { name: 'Alice Liddell' } });

@ApiTags('users')
@Controller('users')
export class ChangeProfileController {
  constructor(private readonly commands: CommandBus) {}

  @Patch(':id')
  @ApiOperation({ summary: "Change a user's name or e-mail address" })
  @ApiProblems({
    404: 'There is no such user.',
    409: 'The e-mail address is taken, or the user is deactivated.',
    412: 'The user has changed since.',
  })
  @ApiOkResponse({
    description: 'The user; if anything changed, `users.user.profile-changed.v1` is recorded with it.',
    headers: etagHeader,
    standardSchema: userView,
  })
  async change(
    @Param('id', { schema: uuidParam }) id: string,
    @Body({ schema: profileChange }) change: z.infer<typeof profileChange>,
    @IfMatch() ifMatch: Precondition,
    @Res({ passthrough: true }) reply: FastifyReply,
  ) {
    const user = await this.commands.execute(new ChangeProfile(id, change, ifMatch));
    reply.header('etag', etagOf(user.version));
    return user;
  }
}
