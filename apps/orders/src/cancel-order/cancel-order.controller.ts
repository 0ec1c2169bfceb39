import { ApiProblems, uuidParam } from '@app/service';
import { Controller, HttpCode, Param, Post } from '@nestjs/common';
import { CommandBus } from '@nestjs/cqrs';
import { ApiAcceptedResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { orderView } from '../order-view.js';
import { CancelOrder } from './cancel-order.handler.js';

@ApiTags('orders')
@Controller('orders')
export class CancelOrderController {
  constructor(private readonly commands: CommandBus) {}

  @Post(':id/cancel')
  @HttpCode(202)
  @ApiOperation({ summary: 'Cancel an order that is not confirmed yet; what is paid for all the same is refunded' })
  @ApiProblems({ 404: 'There is no such order.', 409: 'It is confirmed already.' })
  @ApiAcceptedResponse({ description: 'Cancelled, now or before.', standardSchema: orderView })
  cancel(@Param('id', { schema: uuidParam }) id: string) {
    return this.commands.execute(new CancelOrder(id));
  }
}
