import { currency, sku } from '@app/contracts';
import type { Kysely, Selectable } from 'kysely';
import { z } from 'zod';
import { availableIn, statusOf } from './stock.js';
import type { OrdersTables } from './tables.js';

/** A product as others see it. */
export const productView = z
  .object({
    sku,
    name: z.string(),
    priceMinor: z.int(),
    currency,
    stock: z.object({
      onHand: z.int(),
      reserved: z.int().meta({ description: 'Promised to orders that are not paid for yet.' }),
      available: z.int(),
      status: z.enum(['in-stock', 'low-stock', 'out-of-stock']),
    }),
    version: z.int().meta({ description: 'Also as `ETag`.' }),
  })
  .meta({ id: 'Product' });
export type ProductView = z.infer<typeof productView>;

export const selectProducts = (db: Kysely<OrdersTables>) => db.selectFrom('products').selectAll();

export function viewOf(row: Selectable<OrdersTables['products']>): ProductView {
  const { sku, name, price_minor, currency, on_hand: onHand, reserved, version } = row;
  const stock = { onHand, reserved };
  return {
    ...{ sku, name, priceMinor: Number(price_minor), currency },
    stock: { ...stock, available: availableIn(stock), status: statusOf(stock) },
    version,
  };
}
