import { Database } from '@app/database';
import { Query, QueryHandler, type IQueryHandler } from '@nestjs/cqrs';
import { readOrder, type OrderView } from '../order-view.js';
import type { OrdersTables } from '../tables.js';

export class GetOrder extends Query<OrderView> {
  constructor(readonly id: string) {
    super();
  }
}

@QueryHandler(GetOrder)
export class GetOrderHandler implements IQueryHandler<GetOrder> {
  constructor(private readonly database: Database<OrdersTables>) {}

  execute({ id }: GetOrder): Promise<OrderView> {
    return readOrder(this.database.read, id);
  }
}
