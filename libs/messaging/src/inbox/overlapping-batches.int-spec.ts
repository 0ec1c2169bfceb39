import { randomUUID } from 'node:crypto';
import { UserRegistered } from '@app/contracts';
import { Database } from '@app/database';
import type { BatchReaction } from '@app/messaging';
import { BackboneModule } from '@app/service';
import {
  createServiceDatabase,
  createTestVhost,
  eventually,
  startTestService,
  Teller,
  TellingModule,
  userNamed,
  type TestDatabase,
  type TestService,
  type TestVhost,
} from '@app/testing';
import { Controller, Module } from '@nestjs/common';
import { EventBus, EventsHandler } from '@nestjs/cqrs';
import { EventPattern, Payload } from '@nestjs/microservices';

/** Users that are written at the moment, one set per batch. */
const active = new Set<ReadonlySet<string>>();
let mostBatches = 0;
let shared: string[] = [];
let keys: string[] = [];

@EventsHandler(UserRegistered)
class Copying implements BatchReaction<UserRegistered> {
  constructor(private readonly database: Database) {}

  touches = () => keys;

  async handleMany(events: readonly UserRegistered[]): Promise<void> {
    const users = new Set(events.map(({ userId }) => userId));
    for (const others of active) shared.push(...[...users].filter((userId) => others.has(userId)));
    active.add(users);
    mostBatches = Math.max(mostBatches, active.size);
    const ids = events.map(({ userId }) => userId);
    const names = events.map(({ name }) => name);
    await this.database.tx.query('insert into seen (user_id, name) select * from unnest($1::uuid[], $2::text[])', [
      ids,
      names,
    ]);
    await this.database.tx.query('select pg_sleep(0.02)');
    active.delete(users);
  }
}

@Controller()
class Subscriptions {
  constructor(private readonly reactions: EventBus) {}

  @EventPattern<string>(UserRegistered.type)
  async hear(@Payload() event: UserRegistered): Promise<void> {
    await this.reactions.publish(event);
  }
}

@Module({ imports: [BackboneModule], controllers: [Subscriptions], providers: [Copying] })
class CopyingModule {}

const SEEN = 'create table if not exists seen (n bigint generated always as identity, user_id uuid, name text)';
const USERS = 1_500;
const EVENTS_PER_USER = 3;

describe('Of a backlog, two batches are applied at a time', () => {
  let vhost: TestVhost;
  let database: TestDatabase;
  let users: TestService;
  let orders: TestService | undefined;
  beforeEach(async () => {
    [mostBatches, shared, keys] = [0, [], []];
    [vhost, database] = await Promise.all([createTestVhost(), createServiceDatabase('orders')]);
    users = await startTestService(TellingModule, 'users', { vhost });
    await listen();
    await orders!.stop(); // its queue is there
    await tell();
  });
  afterEach(async () => {
    await orders?.stop();
    await users.stop();
    await database.drop();
    await vhost.drop();
  });

  const listen = async () => {
    orders = await startTestService(CopyingModule, 'orders', { vhost, database, sql: SEEN });
  };
  /** Everybody's first event, then everybody's second one, and so on. */
  const tell = async () => {
    const { database: own, outbox } = users.app.get(Teller);
    const ids = Array.from({ length: USERS }, () => randomUUID());
    for (let n = 1; n <= EVENTS_PER_USER; n++)
      await own.transaction(async (tx) => {
        for (const id of ids) await outbox.add(tx, userNamed(id, String(n)));
      });
    await eventually(async () => expect(await users.rows('select from messaging.outbox')).toEqual([]));
  };
  const isComplete = async () => {
    await eventually(async () => expect(await orders!.rows('select from seen')).toHaveLength(USERS * EVENTS_PER_USER), {
      timeoutMs: 30_000,
    });
    const stories = await orders!.rows(
      `select distinct story from (select string_agg(name, ' ' order by n) as story from seen group by user_id) s`,
    );
    expect(stories).toEqual([{ story: '1 2 3' }]);
    expect(await orders!.rows('select from messaging.parked_events')).toEqual([]);
  };

  it('if they have no stream in common', async () => {
    await listen();
    await isComplete();
    expect({ mostBatches, shared }).toEqual({ mostBatches: 2, shared: [] });
  });

  it('but not if a reaction touches more than its own stream', async () => {
    keys = ['a row of all'];
    await listen();
    await isComplete();
    expect(mostBatches).toBe(1);
  });
});
