import { ApiProblems, etagHeader, etagOf, uuidParam } from '@app/service';
import { Controller, Get, Param, Res } from '@nestjs/common';
import { QueryBus } from '@nestjs/cqrs';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import type { FastifyReply } from 'fastify';
import { userView } from '../user-rows.js';
import { GetUser } from './get-user.handler.js';

@ApiTags('users')
@Controller('users')
export class GetUserController {
  constructor(private readonly queries: QueryBus) {}

  @Get(':id')
  @ApiOperation({ summary: 'Read a user' })
  @ApiProblems({ 404: 'There is no such user.' })
  @ApiOkResponse({ description: 'The user.', headers: etagHeader, standardSchema: userView })
  async get(@Param('id', { schema: uuidParam }) id: string, @Res({ passthrough: true }) reply: FastifyReply) {
    const user = await this.queries.execute(new GetUser(id));
    reply.header('etag', etagOf(user.version));
    return user;
  }
}
