import { Database } from '@app/database';
import { Outbox } from '@app/messaging';
import { ConflictProblem, NotFoundProblem, requireMatch, type Precondition } from '@app/service';
import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { selectProducts, viewOf, type ProductView } from '../product-view.js';
import { saveStock } from '../stock-rows.js';
import type { OrdersTables } from '../tables.js';

/** Sets how much of a product there is; not less than is promised. */
export class PutStock extends Command<ProductView> {
  constructor(
    readonly sku: string,
    readonly onHand: number,
    readonly ifMatch: Precondition,
  ) {
    super();
  }
}

@CommandHandler(PutStock)
export class PutStockHandler implements ICommandHandler<PutStock> {
  constructor(
    private readonly database: Database<OrdersTables>,
    private readonly outbox: Outbox,
  ) {}

  execute({ sku, onHand, ifMatch }: PutStock): Promise<ProductView> {
    return this.database.transaction(async (tx) => {
      const product = await selectProducts(tx).where('sku', '=', sku).forNoKeyUpdate().executeTakeFirst();
      if (!product) throw new NotFoundProblem(`There is no product ${sku}.`);
      requireMatch(ifMatch, product.version);
      const { reserved } = product;
      if (onHand < reserved) {
        throw new ConflictProblem(`${reserved} of ${sku} are promised to orders that are not paid for yet.`, {
          errors: [{ detail: `must be at least ${reserved}`, pointer: '#/onHand' }],
        });
      }
      const stockOf = (onHand: number) => new Map([[sku, { onHand, reserved }]]);
      await saveStock(tx, this.outbox, stockOf(product.on_hand), stockOf(onHand));
      return viewOf({ ...product, on_hand: onHand, version: product.version + 1 });
    });
  }
}
