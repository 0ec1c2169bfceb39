import { randomUUID } from 'node:crypto';
import { UserRegistered } from '@app/contracts';
import { Database } from '@app/database';
import { BackboneModule } from '@app/service';
import { eventually, startTestService } from '@app/testing';
import { Controller, Module } from '@nestjs/common';
import { EventBus, EventsHandler } from '@nestjs/cqrs';
import { EventPattern, Payload } from '@nestjs/microservices';
import { Timers, type Reaction } from '../index.js';

interface Tables {
  reminders: { user_id: string; text: string };
}

@EventsHandler(UserRegistered)
class RemindOnUserRegistered implements Reaction<UserRegistered> {
  constructor(private readonly database: Database<Tables>) {}

  async handle({ userId, name }: UserRegistered): Promise<void> {
    await this.database.tx.insertInto('reminders').values({ user_id: userId, text: name }).execute();
  }
}

@Controller()
class SubscriptionsController {
  constructor(private readonly reactions: EventBus) {}

  @EventPattern<string>(UserRegistered.type)
  async userRegistered(@Payload() event: UserRegistered): Promise<void> {
    await this.reactions.publish(event);
  }
}

@Module({
  imports: [BackboneModule],
  controllers: [SubscriptionsController],
  providers: [RemindOnUserRegistered],
})
class RemindersModule {}

describe('a timer of a service for itself', () => {
  it('comes back as an event that the service reacts to, once and in order', async () => {
    const service = await startTestService(RemindersModule, 'users', {
      sql: 'create table reminders (user_id text, text text, n serial)',
    });
    try {
      const timers = service.app.get(Timers);
      const database = service.app.get(Database);
      const userId = randomUUID();
      await database.transaction(async (tx) => {
        for (const n of [1, 2, 3]) {
          const event = new UserRegistered({ userId, name: `reminder ${n}`, email: 'alice@example.com' });
          await timers.set(tx, { afterMs: n * 50 }, event);
        }
      });
      const reminders = () => service.rows<{ text: string }>('select text from reminders order by n');
      await eventually(async () => expect(await reminders()).toHaveLength(3));
      expect((await reminders()).map(({ text }) => text)).toEqual(['reminder 1', 'reminder 2', 'reminder 3']);
      expect(await service.rows('select from messaging.timers')).toEqual([]);
    } finally {
      await service.stop();
    }
  });
});
