// For tests: the service `orders` with two reactions that do as they are told, and write down what they have done.
import { event, registerContracts, UserRegistered } from '@app/contracts';
import { Database } from '@app/database';
import { BackboneModule } from '@app/service';
import { startTestService, type TestServiceOptions } from '@app/testing';
import { Controller, Module } from '@nestjs/common';
import { EventBus, EventsHandler } from '@nestjs/cqrs';
import { EventPattern, Payload } from '@nestjs/microservices';
import { z } from 'zod';
import type { Reaction } from '../inbox/awaited-event-bus.js';

export class UserMoved extends event('users.user.moved.v1', {
  subject: 'userId',
  data: { userId: z.uuid(), city: z.string() },
  example: { userId: '0199d2c4-7b1e-7c3a-9f60-2b8f1f4f2a11', city: 'Rome' },
}) {}
registerContracts([UserMoved]);

/** What the reactions do: throw, wait. */
export const behaviour = {
  greet: (_name: string): void | Promise<void> => {},
};

@EventsHandler(UserRegistered)
export class GreetUser implements Reaction<UserRegistered> {
  constructor(private readonly database: Database) {}
  touches = () => [];
  async handle({ userId, name }: UserRegistered): Promise<void> {
    await behaviour.greet(name);
    await this.database.tx.query('insert into effects (subject, what) values ($1, $2)', [userId, `greeted ${name}`]);
  }
}

@EventsHandler(UserMoved)
export class FollowUser implements Reaction<UserMoved> {
  constructor(private readonly database: Database) {}
  touches = () => [];
  async handle({ userId, city }: UserMoved): Promise<void> {
    await this.database.tx.query('insert into effects (subject, what) values ($1, $2)', [userId, `moved to ${city}`]);
  }
}

@Controller()
class Subscriptions {
  constructor(private readonly reactions: EventBus) {}
  @EventPattern<string>(UserRegistered.type)
  async registered(@Payload() it: UserRegistered): Promise<void> {
    await this.reactions.publish(it);
  }
  @EventPattern<string>(UserMoved.type)
  async moved(@Payload() it: UserMoved): Promise<void> {
    await this.reactions.publish(it);
  }
}

@Module({ imports: [BackboneModule], controllers: [Subscriptions], providers: [GreetUser, FollowUser] })
class ShopModule {}

export const TOKEN = 'correct-horse-battery-staple';

export async function startShop(options: TestServiceOptions = {}) {
  behaviour.greet = () => {};
  const service = await startTestService(ShopModule, 'orders', {
    sql: 'create table effects (at serial, subject text not null, what text not null)',
    ...options,
    env: { OPS_TOKEN: TOKEN, BOOKS_INTERVAL_MS: '60000', ...options.env },
  });
  const effects = async (subject?: string) => {
    const sql = 'select what from effects where $1::text is null or subject = $1 order by at';
    return (await service.rows<{ what: string }>(sql, subject ?? null)).map(({ what }) => what);
  };
  const authorization = `Bearer ${TOKEN}`;
  return {
    ...service,
    database: service.database,
    effects,
    register: (userId: string, name = 'Ann') =>
      service.deliver(new UserRegistered({ userId, name, email: 'a@example.com' })),
    move: (userId: string, city = 'Rome') => service.deliver(new UserMoved({ userId, city })),
    ops: (method: string, path: string, body?: object) => service.http(method, `/ops${path}`, body, { authorization }),
    metrics: async () => String((await service.http('GET', '/metrics')).body),
    parked: async () =>
      service.rows<{ id: string; state: string; error: string | null; sequence: number; attempts: number }>(
        'select id, state, error, sequence::int as sequence, attempts from messaging.parked_events order by id',
      ),
  };
}

export type Shop = Awaited<ReturnType<typeof startShop>>;
