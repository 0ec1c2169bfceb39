import { ApiProblems, pageOf, pageQuery } from '@app/service';
import { Controller, Get, Query } from '@nestjs/common';
import { QueryBus } from '@nestjs/cqrs';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { z } from 'zod';
import { userView } from '../user-rows.js';
import { ListUsers } from './list-users.handler.js';

const list = pageQuery(z.uuid()).extend({
  email: z
    .email()
    .max(254)
    .optional()
    .meta({ description: 'Only the user with this e-mail address, whatever its case.' }),
});

@ApiTags('users')
@Controller('users')
export class ListUsersController {
  constructor(private readonly queries: QueryBus) {}

  @Get()
  @ApiOperation({ summary: 'List users in the order of their registration, or find one by e-mail address' })
  @ApiProblems()
  @ApiOkResponse({ description: 'A page of users.', standardSchema: pageOf(userView) })
  list(@Query({ schema: list }) { limit, cursor, email }: z.infer<typeof list>) {
    return this.queries.execute(new ListUsers(limit, cursor, email));
  }
}
