import { Database } from '@app/database';
import { pageQuery, toPage, type Page } from '@app/service';
import { Query, QueryHandler, type IQueryHandler } from '@nestjs/cqrs';
import { z } from 'zod';
import { ORDER_STATUSES } from '../order.js';
import { selectOrders, viewOf, type OrderView } from '../order-view.js';
import type { OrdersTables } from '../tables.js';

/** The ids are in the order of time. */
export const orderQuery = pageQuery(z.uuid()).extend({
  userId: z.uuid().toLowerCase().optional(),
  status: z.enum(ORDER_STATUSES).optional(),
});
export type OrderQuery = z.infer<typeof orderQuery>;

export class ListOrders extends Query<Page<OrderView>> {
  constructor(readonly query: OrderQuery) {
    super();
  }
}

@QueryHandler(ListOrders)
export class ListOrdersHandler implements IQueryHandler<ListOrders> {
  constructor(private readonly database: Database<OrdersTables>) {}

  async execute({ query: { userId, status, cursor, limit } }: ListOrders): Promise<Page<OrderView>> {
    const rows = await selectOrders(this.database.read)
      .$if(userId !== undefined, (orders) => orders.where('user_id', '=', userId!))
      .$if(status !== undefined, (orders) => orders.where('status', '=', status!))
      .$if(cursor !== undefined, (orders) => orders.where('id', '<', cursor!))
      .orderBy('id', 'desc')
      .limit(limit + 1)
      .execute();
    return toPage(rows.map(viewOf), limit, ({ id }) => id);
  }
}
