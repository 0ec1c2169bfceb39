// Every change of the stock goes through here, so that nobody forgets to tell.
import { InventoryStatusChanged } from '@app/contracts';
import type { Transaction } from '@app/database';
import type { Outbox } from '@app/messaging';
import { sql } from 'kysely';
import { availableIn, statusOf, type Stocks } from './stock.js';
import type { OrdersTables } from './tables.js';

/**
 * What reactions to events that may change orders, payments or stock declare to touch: which rows these are is not known before
 * they are read, so such reactions have one name in common and take turns. (Two of them in one transaction do not see each
 * other's locks.)
 */
export const STOCK = 'stock';

/** Locks products, always in the order of their SKU, so that two orders cannot wait for each other. */
export async function lockStock(tx: Transaction<OrdersTables>, goods: readonly { sku: string }[]): Promise<Stocks> {
  const rows = await tx
    .selectFrom('products')
    .select(['sku', 'on_hand as onHand', 'reserved'])
    .where('sku', 'in', [...new Set(goods.map(({ sku }) => sku))])
    .orderBy('sku')
    .forNoKeyUpdate()
    .execute();
  return new Map(rows.map(({ sku, ...stock }) => [sku, stock]));
}

/** Writes the stock of products that are locked, and records which of them have become scarce, sold out, or plentiful. */
export async function saveStock(
  tx: Transaction<OrdersTables>,
  outbox: Outbox,
  before: Stocks,
  after: Stocks,
): Promise<void> {
  const skus = [...after.keys()];
  const stocks = [...after.values()];
  await sql`
    update products p set on_hand = s.on_hand, reserved = s.reserved, version = p.version + 1
    from unnest(${skus}::text[], ${stocks.map(({ onHand }) => onHand)}::int[],
      ${stocks.map(({ reserved }) => reserved)}::int[]) s (sku, on_hand, reserved)
    where p.sku = s.sku`.execute(tx);
  for (const [sku, stock] of after) {
    const [previous, status] = [statusOf(before.get(sku)!), statusOf(stock)];
    if (previous === status) continue;
    await outbox.add(tx, new InventoryStatusChanged({ sku, previous, status, available: availableIn(stock) }));
  }
}
