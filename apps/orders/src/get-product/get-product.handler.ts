import { Database } from '@app/database';
import { NotFoundProblem } from '@app/service';
import { Query, QueryHandler, type IQueryHandler } from '@nestjs/cqrs';
import { selectProducts, viewOf, type ProductView } from '../product-view.js';
import type { OrdersTables } from '../tables.js';

export class GetProduct extends Query<ProductView> {
  constructor(readonly sku: string) {
    super();
  }
}

@QueryHandler(GetProduct)
export class GetProductHandler implements IQueryHandler<GetProduct> {
  constructor(private readonly database: Database<OrdersTables>) {}

  async execute({ sku }: GetProduct): Promise<ProductView> {
    const product = await selectProducts(this.database.read).where('sku', '=', sku).executeTakeFirst();
    if (!product) throw new NotFoundProblem(`There is no product ${sku}.`);
    return viewOf(product);
  }
}
