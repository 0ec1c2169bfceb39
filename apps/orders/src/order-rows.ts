import type { Transaction } from '@app/database';
import { sql, type Selectable } from 'kysely';
import type { OrderStatus } from './order.js';
import type { OrdersTables } from './tables.js';

type Tx = Transaction<OrdersTables>;

/** An order that is locked. */
export type OrderRow = Pick<
  Selectable<OrdersTables['orders']>,
  'id' | 'user_id' | 'status' | 'currency' | 'total_minor'
>;

const COLUMNS = ['id', 'user_id', 'status', 'currency', 'total_minor'] as const;

export const idsOf = (orders: readonly Pick<OrderRow, 'id'>[]): string[] => orders.map(({ id }) => id);

/** The order, locked until the end of the transaction, if there is one. */
export const lockOrder = (tx: Tx, id: string): Promise<OrderRow | undefined> =>
  tx.selectFrom('orders').select(COLUMNS).where('id', '=', id).forNoKeyUpdate().executeTakeFirst();

/** The customer's orders in these states, the oldest first, locked until the end of the transaction. */
export const lockOrdersOf = (tx: Tx, userId: string, statuses: readonly OrderStatus[]): Promise<OrderRow[]> =>
  tx
    .selectFrom('orders')
    .select(COLUMNS)
    .where('user_id', '=', userId)
    .where('status', 'in', statuses)
    .orderBy('id')
    .forNoKeyUpdate()
    .execute();

/** What was ordered with these orders, in the order of the lines. */
export async function linesOf(tx: Tx, orderIds: readonly string[]) {
  const rows = await tx
    .selectFrom('order_lines')
    .select(['sku', 'quantity', 'unit_price_minor as unitPriceMinor'])
    .where('order_id', '=', sql<string>`any(${orderIds}::uuid[])`) // a statement has 65 535 parameters at most
    .orderBy('order_id')
    .orderBy('line')
    .execute();
  return rows.map((row) => ({ ...row, unitPriceMinor: Number(row.unitPriceMinor) }));
}

/** Writes down that orders have got this far. */
export async function addHistory(
  tx: Tx,
  orderIds: readonly string[],
  status: OrderStatus | 'placed',
  reason: string | null = null,
): Promise<void> {
  await sql`
    insert into order_history (order_id, status, reason)
    select id, ${status}, ${reason} from unnest(${orderIds}::uuid[]) with ordinality o (id, n) order by n`.execute(tx);
}
