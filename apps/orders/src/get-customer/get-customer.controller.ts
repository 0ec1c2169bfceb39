import { ApiProblems, uuidParam } from '@app/service';
import { Controller, Get, Param } from '@nestjs/common';
import { QueryBus } from '@nestjs/cqrs';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { customerView, GetCustomer } from './get-customer.handler.js';

@ApiTags('customers')
@Controller('customers')
export class GetCustomerController {
  constructor(private readonly queries: QueryBus) {}

  @Get(':userId')
  @ApiOperation({ summary: 'Read what this service knows of a user' })
  @ApiProblems({ 404: 'Not known here (yet).' })
  @ApiOkResponse({ description: 'The customer.', standardSchema: customerView })
  get(@Param('userId', { schema: uuidParam }) userId: string) {
    return this.queries.execute(new GetCustomer(userId));
  }
}
