import { ApiProblems, uuidParam } from '@app/service';
import { Controller, Get, Param } from '@nestjs/common';
import { QueryBus } from '@nestjs/cqrs';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { GetShipment } from './get-shipment.handler.js';

@ApiTags('shipments')
@Controller('shipments')
export class GetShipmentController {
  constructor(private readonly queries: QueryBus) {}

  @Get(':orderId')
  @ApiOperation({ summary: 'Read the shipment of an order' })
  @ApiProblems({ 404: 'None is prepared (yet).' })
  @ApiOkResponse({ description: 'The shipment.' })
  get(@Param('orderId', { schema: uuidParam }) orderId: string) {
    return this.queries.execute(new GetShipment(orderId));
  }
}
