import type { Generated } from 'kysely';

/** The tables of this service, as its migrations make them. */
export interface ShippingTables {
  shipments: { order_id: string; user_id: string; prepared_at: Generated<Date> };
}
