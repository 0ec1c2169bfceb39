import { sku as skuParam } from '@app/contracts';
import { ApiProblems, etagHeader, etagOf, IfMatch, type Precondition } from '@app/service';
import { Body, Controller, Param, Put, Res } from '@nestjs/common';
import { CommandBus } from '@nestjs/cqrs';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import type { FastifyReply } from 'fastify';
import { z } from 'zod';
import { productView } from '../product-view.js';
import { PutStock } from './put-stock.handler.js';

export const count = z
  .strictObject({
    onHand: z.int().min(0).max(1_000_000_000).meta({ description: 'What was counted, promised or not.', example: 100 }),
  })
  .meta({ id: 'Stock' });

@ApiTags('products')
@Controller('products')
export class PutStockController {
  constructor(private readonly commands: CommandBus) {}

  @Put(':sku/stock')
  @ApiOperation({ summary: 'Say how much of a product there is' })
  @ApiProblems({
    404: 'There is no such product.',
    409: 'More is promised to orders than that.',
    412: 'The product has changed since.',
  })
  @ApiOkResponse({ description: 'The product.', headers: etagHeader, standardSchema: productView })
  async put(
    @Param('sku', { schema: skuParam.meta({ example: 'teapot' }) }) sku: string,
    @Body({ schema: count }) { onHand }: z.infer<typeof count>,
    @IfMatch() ifMatch: Precondition,
    @Res({ passthrough: true }) reply: FastifyReply,
  ) {
    const product = await this.commands.execute(new PutStock(sku, onHand, ifMatch));
    void reply.header('etag', etagOf(product.version));
    return product;
  }
}
