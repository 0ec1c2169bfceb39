import { Database } from '@app/database';
import { toPage, type Page } from '@app/service';
import { Query, QueryHandler, type IQueryHandler } from '@nestjs/cqrs';
import { viewOf, type NotificationView } from '../notification-rows.js';
import type { UsersTables } from '../tables.js';
import { noSuchUser } from '../user-rows.js';

/** What happened to a user's orders, newest first. */
export class ListNotifications extends Query<Page<NotificationView>> {
  constructor(
    readonly userId: string,
    readonly limit: number,
    readonly before: string | undefined,
  ) {
    super();
  }
}

@QueryHandler(ListNotifications)
export class ListNotificationsHandler implements IQueryHandler<ListNotifications> {
  constructor(private readonly database: Database<UsersTables>) {}

  async execute({ userId, limit, before }: ListNotifications): Promise<Page<NotificationView>> {
    let notifications = this.database.read.selectFrom('notifications').selectAll().where('user_id', '=', userId);
    if (before !== undefined) notifications = notifications.where('id', '<', before);
    const found = await notifications
      .orderBy('id', 'desc')
      .limit(limit + 1)
      .execute();
    if (found.length === 0) await this.requireUser(userId);
    return toPage(found.map(viewOf), limit, ({ id }) => id);
  }

  private async requireUser(id: string): Promise<void> {
    const user = await this.database.read.selectFrom('users').select('id').where('id', '=', id).executeTakeFirst();
    if (!user) throw noSuchUser(id);
  }
}
