import { sku } from '@app/contracts';
import { Database } from '@app/database';
import { pageQuery, toPage, type Page } from '@app/service';
import { Query, QueryHandler, type IQueryHandler } from '@nestjs/cqrs';
import type { z } from 'zod';
import { selectProducts, viewOf, type ProductView } from '../product-view.js';
import type { OrdersTables } from '../tables.js';

export const productQuery = pageQuery(sku);
export type ProductQuery = z.infer<typeof productQuery>;

export class ListProducts extends Query<Page<ProductView>> {
  constructor(readonly query: ProductQuery) {
    super();
  }
}

@QueryHandler(ListProducts)
export class ListProductsHandler implements IQueryHandler<ListProducts> {
  constructor(private readonly database: Database<OrdersTables>) {}

  async execute({ query: { cursor, limit } }: ListProducts): Promise<Page<ProductView>> {
    const rows = await selectProducts(this.database.read)
      .$if(cursor !== undefined, (products) => products.where('sku', '>', cursor!))
      .orderBy('sku')
      .limit(limit + 1)
      .execute();
    return toPage(rows.map(viewOf), limit, ({ sku }) => sku);
  }
}
