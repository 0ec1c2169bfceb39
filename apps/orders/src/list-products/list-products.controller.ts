import { ApiProblems, pageOf } from '@app/service';
import { Controller, Get, Query } from '@nestjs/common';
import { QueryBus } from '@nestjs/cqrs';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { productView } from '../product-view.js';
import { ListProducts, productQuery, type ProductQuery } from './list-products.handler.js';

@ApiTags('products')
@Controller('products')
export class ListProductsController {
  constructor(private readonly queries: QueryBus) {}

  @Get()
  @ApiOperation({ summary: 'List the products by SKU' })
  @ApiProblems()
  @ApiOkResponse({ description: 'A page of products.', standardSchema: pageOf(productView) })
  list(@Query({ schema: productQuery }) query: ProductQuery) {
    return this.queries.execute(new ListProducts(query));
  }
}
