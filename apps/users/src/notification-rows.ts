import type { Transaction } from '@app/database';
import { sql, type Selectable } from 'kysely';
import { z } from 'zod';
import type { UsersTables } from './tables.js';

export const notificationView = z
  .object({
    id: z.string(),
    kind: z.enum(['order-placed', 'order-confirmed', 'order-cancelled']),
    orderId: z.uuid(),
    text: z.string().meta({ example: 'Your order is confirmed; you paid €23.75.' }),
    at: z.iso.datetime(),
  })
  .meta({ id: 'Notification' });

/** A notification as its user reads it. */
export type NotificationView = z.infer<typeof notificationView>;

export const viewOf = (row: Selectable<UsersTables['notifications']>): NotificationView => ({
  id: row.id,
  kind: row.kind,
  orderId: row.order_id,
  text: row.text,
  at: row.at.toISOString(),
});

/** Tells a user something. Does nothing if there is no such user: `orders` takes an id before it knows whose it is. */
export async function notify(
  tx: Transaction<UsersTables>,
  { userId, orderId }: { userId: string; orderId: string },
  kind: NotificationView['kind'],
  text: string,
): Promise<void> {
  await sql`
    insert into notifications (user_id, order_id, kind, text)
    select id, ${orderId}::uuid, ${kind}, ${text} from users where id = ${userId}`.execute(tx);
}
