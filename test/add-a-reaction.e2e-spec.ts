import { randomUUID } from 'node:crypto';
import { UserRegistered } from '@app/contracts';
import { Database } from '@app/database';
import type { Reaction } from '@app/messaging';
import { BackboneModule } from '@app/service';
import {
  createServiceDatabase,
  createTestVhost,
  eventually,
  startTestService,
  Teller,
  TellingModule,
  type TestDatabase,
  type TestService,
  type TestVhost,
} from '@app/testing';
import { Controller, Module, type Type } from '@nestjs/common';
import { EventBus, EventsHandler } from '@nestjs/cqrs';
import { EventPattern, Payload } from '@nestjs/microservices';

abstract class Writing implements Reaction<UserRegistered> {
  constructor(protected readonly database: Database) {}
  async handle({ name }: UserRegistered): Promise<void> {
    await this.database.tx.query('insert into seen values ($1, $2)', [this.constructor.name, name]);
  }
}
const withDatabase = (reaction: Type) => Reflect.defineMetadata('design:paramtypes', [Database], reaction);

@EventsHandler(UserRegistered)
class WasThereFromTheStart extends Writing {}
@EventsHandler(UserRegistered)
class SaysNothing extends Writing {}
@EventsHandler(UserRegistered)
class WantsNoHistory extends Writing {
  readonly history = 'from now on';
}
@EventsHandler(UserRegistered)
class WantsHistory extends Writing {
  readonly inbox = 'report';
}
for (const reaction of [WasThereFromTheStart, SaysNothing, WantsNoHistory, WantsHistory]) withDatabase(reaction);

@Controller()
class Subscriptions {
  constructor(private readonly reactions: EventBus) {}
  @EventPattern<string>(UserRegistered.type)
  async registered(@Payload() event: UserRegistered): Promise<void> {
    await this.reactions.publish(event);
  }
}

function version(...reactions: Type[]): Type {
  @Module({ imports: [BackboneModule], controllers: [Subscriptions], providers: reactions })
  class SomeVersion {}
  return SomeVersion;
}

describe('A reaction that is added to a service which has heard a lot already', () => {
  const env = { BOOKS_INTERVAL_MS: '500' };
  const sql = 'create table if not exists seen (reaction text, name text)';
  let vhost: TestVhost;
  let database: TestDatabase;
  let users: TestService;
  let orders: TestService;
  beforeEach(async () => {
    [vhost, database] = await Promise.all([createTestVhost(), createServiceDatabase('orders')]);
    users = await startTestService(TellingModule, 'users', { vhost, env });
    orders = await start(WasThereFromTheStart);
    await tell('1', '2', '3');
    await eventually(async () => expect(await seenBy(WasThereFromTheStart)).toEqual(['1', '2', '3']));
    await orders.stop();
  });
  afterEach(async () => {
    await orders.stop();
    await users.stop();
    await database.drop();
    await vhost.drop();
  });

  const start = (...reactions: Type[]) =>
    startTestService(version(...reactions), 'orders', { vhost, database, env, sql });
  const tell = (...names: string[]) => users.app.get(Teller).tell(randomUUID(), ...names);
  const seenBy = async ({ name }: Type) => {
    const rows = await orders.rows<{ name: string }>('select name from seen where reaction = $1 order by name', name);
    return rows.map((row) => row.name);
  };

  it('keeps the inbox from starting if it does not say what it wants, and both remedies are named', async () => {
    const options = { vhost, database, env, doNotWait: true };
    orders = await startTestService(version(WasThereFromTheStart, SaysNothing), 'orders', options);
    await eventually(async () => {
      const { body } = await orders.ready();
      expect(body).toMatchObject({ status: 'degraded' });
      expect(JSON.stringify(body)).toMatch(/SaysNothing.*'from now on'.*inbox/);
    });
    await tell('4');
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(await seenBy(WasThereFromTheStart)).toEqual(['1', '2', '3']);
  });

  it('hears only what happens from now on, if it wants that', async () => {
    orders = await start(WasThereFromTheStart, WantsNoHistory);
    await tell('4');
    await eventually(async () => expect(await seenBy(WantsNoHistory)).toEqual(['4']));
    expect(await seenBy(WasThereFromTheStart)).toEqual(['1', '2', '3', '4']);
  });

  it('hears everything since the beginning in an inbox of its own, and nobody else hears anything twice', async () => {
    orders = await start(WasThereFromTheStart, WantsHistory);
    await tell('4');
    await eventually(async () => expect(await seenBy(WantsHistory)).toEqual(['1', '2', '3', '4']));
    expect(await seenBy(WasThereFromTheStart)).toEqual(['1', '2', '3', '4']);
  });
});
