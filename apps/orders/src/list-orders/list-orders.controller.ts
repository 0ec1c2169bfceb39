import { ApiProblems, pageOf } from '@app/service';
import { Controller, Get, Query } from '@nestjs/common';
import { QueryBus } from '@nestjs/cqrs';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { orderView } from '../order-view.js';
import { ListOrders, orderQuery, type OrderQuery } from './list-orders.handler.js';

@ApiTags('orders')
@Controller('orders')
export class ListOrdersController {
  constructor(private readonly queries: QueryBus) {}

  @Get()
  @ApiOperation({ summary: 'List orders, the newest first' })
  @ApiProblems()
  @ApiOkResponse({ description: 'A page of orders.', standardSchema: pageOf(orderView) })
  list(@Query({ schema: orderQuery }) query: OrderQuery) {
    return this.queries.execute(new ListOrders(query));
  }
}
