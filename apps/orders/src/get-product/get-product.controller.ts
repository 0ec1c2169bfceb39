import { sku as skuParam } from '@app/contracts';
import { ApiProblems, etagHeader, etagOf } from '@app/service';
import { Controller, Get, Param, Res } from '@nestjs/common';
import { QueryBus } from '@nestjs/cqrs';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import type { FastifyReply } from 'fastify';
import { productView } from '../product-view.js';
import { GetProduct } from './get-product.handler.js';

@ApiTags('products')
@Controller('products')
export class GetProductController {
  constructor(private readonly queries: QueryBus) {}

  @Get(':sku')
  @ApiOperation({ summary: 'Read a product and how much of it there is' })
  @ApiProblems({ 404: 'There is no such product.' })
  @ApiOkResponse({ description: 'The product.', headers: etagHeader, standardSchema: productView })
  async get(
    @Param('sku', { schema: skuParam.meta({ example: 'teapot' }) }) sku: string,
    @Res({ passthrough: true }) reply: FastifyReply,
  ) {
    const product = await this.queries.execute(new GetProduct(sku));
    void reply.header('etag', etagOf(product.version));
    return product;
  }
}
