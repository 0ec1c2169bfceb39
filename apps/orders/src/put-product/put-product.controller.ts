import { currency, sku as skuParam } from '@app/contracts';
import { ApiProblems, etagHeader, etagOf } from '@app/service';
import { Body, Controller, Param, Put, Res } from '@nestjs/common';
import { CommandBus } from '@nestjs/cqrs';
import { ApiCreatedResponse, ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import type { FastifyReply } from 'fastify';
import { z } from 'zod';
import { MAX_PRICE_MINOR } from '../money.js';
import { productView } from '../product-view.js';
import { PutProduct } from './put-product.handler.js';

export const offer = z
  .strictObject({
    name: z.string().trim().min(1).max(200).meta({ example: 'Teapot' }),
    priceMinor: z
      .int()
      .min(1)
      .max(MAX_PRICE_MINOR)
      .meta({ description: 'In the smallest unit of the currency, such as cents.', example: 1_250 }),
    currency: currency.meta({ example: 'EUR' }),
  })
  .meta({ id: 'Offer' });

@ApiTags('products')
@Controller('products')
export class PutProductController {
  constructor(private readonly commands: CommandBus) {}

  @Put(':sku')
  @ApiOperation({ summary: 'Offer a product, or change the offer; orders keep the price they were quoted' })
  @ApiProblems()
  @ApiCreatedResponse({
    description: 'A new product; there is nothing of it in stock.',
    headers: etagHeader,
    standardSchema: productView,
  })
  @ApiOkResponse({ description: 'Changed.', headers: etagHeader, standardSchema: productView })
  async put(
    @Param('sku', { schema: skuParam.meta({ example: 'teapot' }) }) sku: string,
    @Body({ schema: offer }) { name, priceMinor, currency }: z.infer<typeof offer>,
    @Res({ passthrough: true }) reply: FastifyReply,
  ) {
    const { product, isNew } = await this.commands.execute(new PutProduct(sku, name, priceMinor, currency));
    void reply.code(isNew ? 201 : 200).header('etag', etagOf(product.version));
    if (isNew) void reply.header('location', `/products/${sku}`);
    return product;
  }
}
