import { Database } from '@app/database';
import { NotFoundProblem } from '@app/service';
import { Query, QueryHandler, type IQueryHandler } from '@nestjs/cqrs';
import type { ShippingTables } from '../tables.js';

/** What is sent to whom. */
export interface ShipmentView {
  orderId: string;
  userId: string;
  preparedAt: Date;
}

export class GetShipment extends Query<ShipmentView> {
  constructor(readonly orderId: string) {
    super();
  }
}

@QueryHandler(GetShipment)
export class GetShipmentHandler implements IQueryHandler<GetShipment> {
  constructor(private readonly database: Database<ShippingTables>) {}

  async execute({ orderId }: GetShipment): Promise<ShipmentView> {
    const shipment = await this.database.read
      .selectFrom('shipments')
      .select(['order_id as orderId', 'user_id as userId', 'prepared_at as preparedAt'])
      .where('order_id', '=', orderId)
      .executeTakeFirst();
    if (!shipment) throw new NotFoundProblem(`No shipment of order ${orderId} is prepared (yet).`);
    return shipment;
  }
}
