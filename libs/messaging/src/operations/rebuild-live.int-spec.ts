// A projection is rebuilt while both services run: history comes again from the owner's log.
import { randomUUID } from 'node:crypto';
import { UserRegistered } from '@app/contracts';
import { Database } from '@app/database';
import { BackboneModule } from '@app/service';
import { createTestVhost, eventually, startTestService, type TestService, type TestVhost } from '@app/testing';
import { Controller, Module } from '@nestjs/common';
import { EventBus, EventsHandler } from '@nestjs/cqrs';
import { EventPattern, Payload } from '@nestjs/microservices';
import type { Reaction } from '../inbox/awaited-event-bus.js';
import { Outbox } from '../outbox/outbox.js';
import { TOKEN } from './shop.fixture.js';

@EventsHandler(UserRegistered)
class GreetUser implements Reaction<UserRegistered> {
  constructor(private readonly database: Database) {}
  async handle({ userId }: UserRegistered): Promise<void> {
    await this.database.tx.query('insert into greetings values ($1)', [userId]);
  }
}

@EventsHandler(UserRegistered)
class ListUser implements Reaction<UserRegistered> {
  readonly inbox = 'report';
  constructor(private readonly database: Database) {}
  async handle({ userId }: UserRegistered): Promise<void> {
    await this.database.tx.query('insert into report values ($1)', [userId]);
  }
}

@Controller()
class Subscriptions {
  constructor(private readonly reactions: EventBus) {}
  @EventPattern<string>(UserRegistered.type)
  async registered(@Payload() event: UserRegistered): Promise<void> {
    await this.reactions.publish(event);
  }
}

@Module({ imports: [BackboneModule], controllers: [Subscriptions], providers: [GreetUser, ListUser] })
class OrdersModule {}

@Module({ imports: [BackboneModule] })
class UsersModule {}

let vhost: TestVhost;
let users: TestService;
let orders: TestService;
beforeEach(async () => {
  vhost = await createTestVhost();
  const env = { BOOKS_INTERVAL_MS: '500', OPS_TOKEN: TOKEN };
  users = await startTestService(UsersModule, 'users', { vhost, env });
  orders = await startTestService(OrdersModule, 'orders', {
    vhost,
    env,
    sql: 'create table greetings (user_id uuid); create table report (user_id uuid)',
  });
});
afterEach(async () => {
  await orders.stop();
  await users.stop();
  await vhost.drop();
});

async function register(count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    await users.app.get(Database).transaction((tx) => {
      const event = new UserRegistered({ userId: randomUUID(), name: 'Ann', email: 'ann@example.com' });
      return users.app.get(Outbox).add(tx, event);
    });
  }
}

const ops = (path: string, body: object) =>
  orders.http('POST', `/ops${path}`, body, { authorization: `Bearer ${TOKEN}` });

const countOf = async (table: string) => {
  const sql = `select count(*)::int as rows, count(distinct user_id)::int as users from ${table}`;
  return (await orders.rows<{ rows: number; users: number }>(sql))[0];
};

it('a rebuilt projection gets all of history again, and nobody else gets any of it', async () => {
  await register(30);
  await eventually(async () => expect(await countOf('report')).toEqual({ rows: 30, users: 30 }));
  await eventually(async () => expect(await countOf('greetings')).toEqual({ rows: 30, users: 30 }));

  expect(await ops('/pause', { scope: 'inbox:orders.report', reason: 'rebuild' })).toMatchObject({ status: 200 });
  await orders.rows('delete from report');
  await register(5); // live traffic goes on
  await eventually(async () => expect(await countOf('greetings')).toEqual({ rows: 35, users: 35 }));
  const rebuild = () => ops('/inboxes/orders.report/rebuild', { confirm: true });
  expect(await rebuild()).toMatchObject({ status: 409 }); // the pause is too young
  await eventually(async () => expect(await rebuild()).toMatchObject({ status: 200, body: { streams: 30 } }));
  expect(await countOf('report')).toEqual({ rows: 0, users: 0 });
  await ops('/resume', { scope: 'inbox:orders.report' });

  await eventually(async () => expect(await countOf('report')).toEqual({ rows: 35, users: 35 }), { timeoutMs: 30_000 });
  expect(await countOf('greetings')).toEqual({ rows: 35, users: 35 });
  await eventually(async () => {
    const { body } = await orders.http('GET', '/ops/books', undefined, { authorization: `Bearer ${TOKEN}` });
    const { accounts } = body as { accounts: { inbox: string; applied: number; parked: number }[] };
    expect(accounts).toMatchObject([
      { inbox: 'orders', applied: 35, parked: 0 },
      { inbox: 'orders.report', applied: 35, parked: 0 },
    ]);
  });
  const known = await orders.rows('select inbox, reaction from messaging.reactions order by inbox');
  expect(known).toMatchObject([{ reaction: 'GreetUser' }, { reaction: 'ListUser' }]); // or a restart would take it for new
}, 90_000);
