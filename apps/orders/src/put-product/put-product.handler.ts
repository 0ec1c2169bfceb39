import { Database } from '@app/database';
import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { sql } from 'kysely';
import { viewOf, type ProductView } from '../product-view.js';
import type { OrdersTables } from '../tables.js';

/** Offers a product at a price. */
export class PutProduct extends Command<{ product: ProductView; isNew: boolean }> {
  constructor(
    readonly sku: string,
    readonly name: string,
    readonly priceMinor: number,
    readonly currency: string,
  ) {
    super();
  }
}

@CommandHandler(PutProduct)
export class PutProductHandler implements ICommandHandler<PutProduct> {
  constructor(private readonly database: Database<OrdersTables>) {}

  async execute({ sku, name, priceMinor, currency }: PutProduct) {
    const offer = { name, price_minor: priceMinor, currency };
    const { isNew, ...product } = await this.database.read
      .insertInto('products')
      .values({ sku, ...offer })
      .onConflict((known) =>
        known.column('sku').doUpdateSet(({ ref }) => ({ ...offer, version: sql`${ref('products.version')} + 1` })),
      )
      .returningAll()
      .returning(sql<boolean>`xmax = 0`.as('isNew'))
      .executeTakeFirstOrThrow();
    return { product: viewOf(product), isNew };
  }
}
