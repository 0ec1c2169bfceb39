import { Database } from '@app/database';
import { ConflictProblem } from '@app/service';
import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { OrderProcess } from '../order-process.js';
import { lockOrder } from '../order-rows.js';
import { noSuchOrder, readOrder, type OrderView } from '../order-view.js';
import type { OrdersTables } from '../tables.js';

/** Cancels an order that is not confirmed yet; once more does nothing. */
export class CancelOrder extends Command<OrderView> {
  constructor(readonly id: string) {
    super();
  }
}

@CommandHandler(CancelOrder)
export class CancelOrderHandler implements ICommandHandler<CancelOrder> {
  constructor(
    private readonly database: Database<OrdersTables>,
    private readonly process: OrderProcess,
  ) {}

  execute({ id }: CancelOrder): Promise<OrderView> {
    return this.database.transaction(async (tx) => {
      const order = await lockOrder(tx, id);
      if (!order) throw noSuchOrder(id);
      if (order.status === 'confirmed') throw new ConflictProblem('The order is confirmed, it is on its way.');
      await this.process.cancel(tx, [order], 'cancelled on request');
      return readOrder(tx, id);
    });
  }
}
