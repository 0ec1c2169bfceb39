import { ApiProblems, uuidParam } from '@app/service';
import { Controller, Get, Param } from '@nestjs/common';
import { QueryBus } from '@nestjs/cqrs';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { orderView } from '../order-view.js';
import { GetOrder } from './get-order.handler.js';

@ApiTags('orders')
@Controller('orders')
export class GetOrderController {
  constructor(private readonly queries: QueryBus) {}

  @Get(':id')
  @ApiOperation({ summary: 'Read an order and what has happened to it' })
  @ApiProblems({ 404: 'There is no such order.' })
  @ApiOkResponse({ description: 'The order.', standardSchema: orderView })
  get(@Param('id', { schema: uuidParam }) id: string) {
    return this.queries.execute(new GetOrder(id));
  }
}
