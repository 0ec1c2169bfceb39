import { OrderConfirmed, UserTierChanged } from '@app/contracts';
import { Database } from '@app/database';
import { Outbox, type Reaction } from '@app/messaging';
import { EventsHandler } from '@nestjs/cqrs';
import type { UsersTables } from '../tables.js';
import { lockUser } from '../user-rows.js';
import { award } from '../user.js';

@EventsHandler(OrderConfirmed)
export class AwardPointsOnOrderConfirmed implements Reaction<OrderConfirmed> {
  constructor(
    private readonly database: Database<UsersTables>,
    private readonly outbox: Outbox,
  ) {}

  /** Reads the points and writes them; another order of the same user must wait. */
  touches = ({ userId }: OrderConfirmed) => [`user:${userId}`];

  async handle({ userId, totalMinor }: OrderConfirmed): Promise<void> {
    const { tx } = this.database;
    const user = await lockUser(tx, userId);
    if (!user) return; // nobody of ours
    const { points, tier } = award(user, totalMinor);
    if (points === user.points) return;
    await tx
      .updateTable('users')
      .set({ points, tier, version: user.version + 1 })
      .where('id', '=', userId)
      .execute();
    if (tier !== user.tier)
      await this.outbox.add(tx, new UserTierChanged({ userId, from: user.tier, to: tier, points }));
  }
}
