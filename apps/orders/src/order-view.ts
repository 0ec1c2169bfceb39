import { NotFoundProblem } from '@app/service';
import { sql, type Kysely } from 'kysely';
import { jsonArrayFrom } from 'kysely/helpers/postgres';
import { z } from 'zod';
import { ORDER_STATUSES } from './order.js';
import type { OrdersTables } from './tables.js';

/** An order as others see it. */
export const orderView = z
  .object({
    id: z.uuid(),
    userId: z.uuid(),
    status: z.enum(ORDER_STATUSES),
    lines: z.array(z.object({ sku: z.string(), quantity: z.int(), unitPriceMinor: z.int() })),
    discountMinor: z.int(),
    totalMinor: z.int().meta({ description: 'Σ lines − discount.' }),
    currency: z.string(),
    history: z.array(
      z.object({
        status: z.enum(['placed', ...ORDER_STATUSES]),
        at: z.iso.datetime(),
        reason: z.string().optional(),
      }),
    ),
  })
  .meta({ id: 'Order' });
export type OrderView = z.infer<typeof orderView>;

/** All orders, to be narrowed down; {@link viewOf} makes views of them. */
export const selectOrders = (db: Kysely<OrdersTables>) =>
  db.selectFrom('orders').select((order) => [
    'id',
    'user_id as userId',
    'status',
    jsonArrayFrom(
      order
        .selectFrom('order_lines')
        .select(['sku', 'quantity', 'unit_price_minor as unitPriceMinor'])
        .whereRef('order_id', '=', 'orders.id')
        .orderBy('line'),
    ).as('lines'),
    'discount_minor as discountMinor',
    'total_minor as totalMinor',
    'currency',
    jsonArrayFrom(
      order
        .selectFrom('order_history')
        .select(['status', 'reason'])
        .select(sql<string>`to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`.as('at'))
        .whereRef('order_id', '=', 'orders.id')
        .orderBy('order_history.id'),
    ).as('history'),
  ]);

type Row = Awaited<ReturnType<ReturnType<typeof selectOrders>['execute']>>[number];

export const viewOf = ({ discountMinor, totalMinor, lines, history, ...order }: Row): OrderView => ({
  ...order,
  lines: lines.map((line) => ({ ...line, unitPriceMinor: Number(line.unitPriceMinor) })),
  discountMinor: Number(discountMinor),
  totalMinor: Number(totalMinor),
  history: history.map(({ status, at, reason }) => ({ status, at, ...(reason !== null && { reason }) })),
});

/** @throws NotFoundProblem if there is no such order */
export async function readOrder(db: Kysely<OrdersTables>, id: string): Promise<OrderView> {
  const order = await selectOrders(db).where('id', '=', id).executeTakeFirst();
  if (!order) throw noSuchOrder(id);
  return viewOf(order);
}

export const noSuchOrder = (id: string): NotFoundProblem => new NotFoundProblem(`There is no order ${id}.`);
