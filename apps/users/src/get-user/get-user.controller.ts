import { uuidParam } from '@app/service';
import { Controller, Get, Param } from '@nestjs/common';
import { QueryBus } from '@nestjs/cqrs';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { GetUser } from './get-user.handler.js';

@ApiTags('users')
@Controller('users')
export class GetUserController {
  constructor(private readonly queries: QueryBus) {}

  @Get(':id')
  @ApiOperation({ summary: 'Read a user' })
  @ApiOkResponse({ description: 'The user.' })
  get(@Param('id', { schema: uuidParam }) id: string) {
    return this.queries.execute(new GetUser(id));
  }
}
