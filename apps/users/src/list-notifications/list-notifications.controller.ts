import { ApiProblems, pageOf, pageQuery, uuidParam } from '@app/service';
import { Controller, Get, Param, Query } from '@nestjs/common';
import { QueryBus } from '@nestjs/cqrs';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { z } from 'zod';
import { notificationView } from '../notification-rows.js';
import { ListNotifications } from './list-notifications.handler.js';

const list = pageQuery(z.string().regex(/^\d{1,18}$/));

@ApiTags('users')
@Controller('users')
export class ListNotificationsController {
  constructor(private readonly queries: QueryBus) {}

  @Get(':id/notifications')
  @ApiOperation({ summary: "Read what happened to a user's orders, newest first" })
  @ApiProblems({ 404: 'There is no such user.' })
  @ApiOkResponse({ description: 'A page of notifications.', standardSchema: pageOf(notificationView) })
  list(
    @Param('id', { schema: uuidParam }) id: string,
    @Query({ schema: list }) { limit, cursor }: z.infer<typeof list>,
  ) {
    return this.queries.execute(new ListNotifications(id, limit, cursor));
  }
}
