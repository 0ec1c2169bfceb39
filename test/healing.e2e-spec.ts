import { randomUUID } from 'node:crypto';
import { InventoryStatusChanged, PaymentFailed, UserRegistered } from '@app/contracts';
import { Database, type Transaction } from '@app/database';
import { operations } from '@app/messaging';
import {
  createServiceDatabase,
  createTestVhost,
  eventually,
  reactingService,
  startTestService,
  Teller,
  TellingModule,
  type TestDatabase,
  type TestService,
  type TestVhost,
} from '@app/testing';
import { Module } from '@nestjs/common';
import { Client } from 'pg';

// Every run of a reaction is a row.
const SEEN = 'create table if not exists seen (n bigint generated always as identity, user_id uuid, name text)';
const Listening = reactingService(
  UserRegistered,
  ({ userId, name }, tx) => tx.query('insert into seen (user_id, name) values ($1, $2)', [userId, name]),
  { touches: () => [] },
);
const env = { BOOKS_INTERVAL_MS: '500' };
const WITHIN = { timeoutMs: 30_000 };

describe('Whatever gets lost on the way is found and brought, without anybody’s help:', () => {
  let vhost: TestVhost;
  let database: TestDatabase;
  let users: TestService;
  let orders: TestService | undefined;
  let teller: Teller;
  let told: string[];
  beforeEach(async () => {
    told = [];
    [vhost, database] = await Promise.all([createTestVhost(), createServiceDatabase('orders')]);
    users = await startTestService(TellingModule, 'users', { vhost, env });
    teller = users.app.get(Teller);
  });
  afterEach(async () => {
    await orders?.stop();
    orders = undefined;
    await users.stop();
    await database.drop();
    await vhost.drop();
  });

  const listen = async () =>
    (orders = await startTestService(Listening, 'orders', { vhost, database, env, sql: SEEN }));
  const stopListening = async () => {
    await orders!.stop();
    orders = undefined;
  };
  /** Each of `count` users tells three events. */
  const tell = async (count: number) => {
    for (let n = 0; n < count; n++) {
      const userId = randomUUID();
      await teller.tell(userId, '1', '2', '3');
      told.push(userId);
    }
  };
  /** The listener has heard something, and is away when its queue is purged of 60 events. */
  const loseWhatWaits = async () => {
    await listen();
    await tell(5);
    await isComplete();
    await stopListening();
    await tell(20);
    await published();
    await vhost.api('DELETE', `queues/${vhost.name}/orders.inbox/contents`);
  };
  const published = () => eventually(async () => expect(await users.rows('select from messaging.outbox')).toEqual([]));
  const isComplete = () =>
    eventually(async () => {
      const rows = await orders!.rows<{ user_id: string; names: string }>(
        `select user_id, string_agg(name, ' ' order by n) as names from seen group by user_id order by user_id`,
      );
      expect(rows).toEqual([...told].sort().map((user_id) => ({ user_id, names: '1 2 3' })));
      expect(await orders!.rows('select from messaging.parked_events')).toEqual([]);
    }, WITHIN);

  /** Of this process; 0 if it was never counted. */
  const metric = async (name: string) => {
    const lines = String((await users.http('GET', '/metrics')).body).split('\n');
    return Number(lines.find((line) => line.startsWith(`${name} `))?.slice(name.length) ?? 0);
  };

  it('the queue is deleted with everything in it while the service is away', async () => {
    await listen();
    await tell(5);
    await isComplete();
    await stopListening();
    await tell(20);
    await published();
    await vhost.deleteQueue('orders.inbox');
    await listen();
    await isComplete();
  }, 60_000);

  it('the queue is purged, and nothing is told after that: the last events of their streams', async () => {
    await loseWhatWaits();
    const replayed = await metric('inbox_replayed_total{source="/users"}');
    await listen();
    await isComplete();
    expect(await metric('inbox_replayed_total{source="/users"}')).toBeGreaterThanOrEqual(replayed + 60);
  }, 60_000);

  it('the binding is removed under the feet of a running service', async () => {
    await listen();
    await tell(5);
    await isComplete();
    for (const { source, routing_key } of await vhost.bindings()) {
      if (source !== 'users.events') continue;
      const path = `bindings/${vhost.name}/e/users.events/q/orders.inbox/${encodeURIComponent(routing_key)}`;
      await vhost.api('DELETE', path);
    }
    await tell(20);
    await isComplete();
  }, 60_000);

  it('events do not wait for the books, whatever holds those up', async () => {
    await listen();
    await tell(1);
    await isComplete();
    await eventually(async () => expect(await orders!.rows('select from messaging.inbox_books')).toHaveLength(1));
    /** Since when a comparison waits for the lock below. */
    const comparing = async () => {
      const sql = `select query_start::text as since from pg_stat_activity
                   where datname = current_database() and wait_event_type = 'Lock' and query like '%with before as%'`;
      return (await orders!.rows<{ since: string }>(sql))[0]?.since;
    };
    const other = new Client({ connectionString: database.url });
    await other.connect();
    try {
      await other.query('begin');
      await other.query('select from messaging.inbox_books for update');
      await eventually(async () => {
        const since = await comparing();
        expect(since).toBeDefined();
        await tell(1);
        await isComplete();
        expect(await comparing()).toBe(since); // it ends after some seconds, and another one begins
      }, WITHIN);
    } finally {
      await other.end();
    }
    expect(await orders!.http('GET', '/health/ready')).toMatchObject({ status: 200 });
  }, 90_000);

  it('the exchange is deleted under the feet of both services', async () => {
    await listen();
    await tell(5);
    await isComplete();
    await vhost.api('DELETE', `exchanges/${vhost.name}/users.events`);
    await tell(20);
    await isComplete();
  }, 60_000);

  it.each([
    ['the exchange', 'exchanges/VHOST/replay.requests'],
    ['the binding', 'bindings/VHOST/e/replay.requests/q/users.replay-requests/users'],
  ])(
    '%s that requests for what is missing come through is removed, too',
    async (_, what) => {
      await loseWhatWaits();
      await vhost.api('DELETE', what.replace('VHOST', vhost.name));
      await listen();
      await isComplete();
    },
    60_000,
  );

  it('the service is new: it hears everything since the beginning, while others go on telling', async () => {
    await tell(60);
    await published();
    await listen();
    await tell(20);
    await isComplete();
  }, 60_000);

  it('the service has lost its memory: its database is new', async () => {
    await listen();
    await tell(20);
    await isComplete();
    await stopListening();
    await database.drop();
    database = await createServiceDatabase('orders');
    await tell(5);
    await listen();
    await isComplete();
  }, 60_000);

  it('the teller was restored to an older state: its log is held, and a new epoch flows', async () => {
    await listen();
    await tell(5);
    await isComplete();
    const restored = told.at(-1)!; // its last event has never happened, in this life
    await users.rows(`delete from messaging.events where subject = $1 and sequence = 3`, restored);
    await users.rows(`update messaging.streams set last_sequence = 2 where subject = $1`, restored);
    await teller.tell(restored, 'another 3');
    await eventually(async () => expect((await orders!.ready()).body).toMatchObject({ status: 'degraded' }), WITHIN);
    expect(await orders!.rows('select source from messaging.inbox_holds')).toEqual([{ source: '/users' }]);
    expect(await metric('inbox_held{inbox="orders"}')).toBe(1);
    expect(await orders!.rows(`select from seen where name = 'another 3'`)).toEqual([]);

    await operations.startEpoch(teller.database, { operator: { who: 'test', reason: 'restored' } });
    await teller.tell(restored, 'after the restore');
    await eventually(
      async () => expect(await orders!.rows(`select from seen where name = 'after the restore'`)).toHaveLength(1),
      WITHIN,
    );
    expect(await orders!.rows(`select from seen where name = 'another 3'`)).toEqual([]);
  }, 90_000);

  it('a log was closed by mistake: opened again, it brings what was dropped meanwhile', async () => {
    const own = () => orders!.app.get(Database);
    const action = { operator: { who: 'test', reason: 'by mistake' } };
    await listen();
    await tell(5);
    await isComplete();
    const [log] = await users.rows<{ epoch: string }>('select epoch from messaging.log');
    const held = `insert into messaging.inbox_holds (inbox, source, epoch, reason) values ('orders', '/users', $1, 'forged')`;
    await orders!.rows(held, log!.epoch);
    await eventually(async () => expect((await orders!.ready()).body).toMatchObject({ status: 'degraded' }), WITHIN);
    await tell(5);
    await eventually(async () => expect(await orders!.rows('select from messaging.parked_events')).toHaveLength(15));
    expect(await operations.closeHold(own(), { source: 'users' }, action)).toEqual({ affected: 1, dropped: 15 });
    const dropped = await metric('inbox_closed_dropped_total');
    await eventually(async () => expect((await orders!.ready()).body).toMatchObject({ status: 'ok' }), WITHIN);
    await tell(5);
    await published();
    await eventually(async () => expect(await metric('inbox_closed_dropped_total')).toBe(dropped + 15), WITHIN);
    await operations.releaseHold(own(), { source: 'users', ...log! }, action);
    await isComplete();
  }, 90_000);

  it('but what its owner has lost, too, is reported until somebody gives it up', async () => {
    const unbalanced = () => metric('inbox_pages_unbalanced{inbox="orders",source="/users"}');
    await tell(1);
    await published();
    const lost = { subject: told[0]!, sequence: 2 };
    const [settled] = await eventually(async () => {
      const pages = await users.rows<{ page: number }>('select page::int as page from messaging.pages');
      expect(pages).toHaveLength(1);
      return pages;
    });
    await users.rows('delete from messaging.events where subject = $1 and sequence = $2', lost.subject, lost.sequence);
    await listen();
    await eventually(async () => {
      expect(await orders!.rows('select sequence::int, state from messaging.parked_events')).toEqual([
        { sequence: 3, state: 'waiting' },
      ]);
      expect(await unbalanced()).toBe(1);
    }, WITHIN);
    const which = { source: 'users', aggregate: 'users.user', ...lost, page: settled!.page };
    const operator = { who: 'test', reason: 'lost' };
    await operations.skipMissing(orders!.app.get(Database), which, { operator });
    await eventually(async () => {
      expect(await orders!.rows('select name from seen order by n')).toEqual([{ name: '1' }, { name: '3' }]);
      expect(await unbalanced()).toBe(0);
    }, WITHIN);
  }, 90_000);
});

it('A service that begins to listen to another aggregate of a log hears all of its history', async () => {
  const heard = async (contract: typeof InventoryStatusChanged | typeof PaymentFailed) => {
    const rows = await users.rows<{ n: number }>('select n from seen where type = $1 order by n', contract.type);
    return rows.map(({ n }) => n);
  };
  const remember = (type: string, n: number, tx: Transaction) =>
    tx.query('insert into seen (type, n) values ($1, $2)', [type, n]);
  const Inventory = reactingService(InventoryStatusChanged, (event, tx) =>
    remember(InventoryStatusChanged.type, event.available, tx),
  );
  const Payments = reactingService(PaymentFailed, (event, tx) =>
    remember(PaymentFailed.type, Number(event.reason), tx),
  );
  @Module({ imports: [Inventory, Payments] })
  class Both {}

  const [vhost, database] = await Promise.all([createTestVhost(), createServiceDatabase('users')]);
  const sql = 'create table if not exists seen (type text, n integer)';
  const orders = await startTestService(TellingModule, 'orders', { vhost, env });
  const { database: log, outbox } = orders.app.get(Teller);
  const tell = (from: number, upTo: number) =>
    log.transaction(async (tx) => {
      for (let n = from; n <= upTo; n++) {
        await outbox.add(tx, new InventoryStatusChanged({ ...InventoryStatusChanged.example, available: n }));
        await outbox.add(tx, new PaymentFailed({ ...PaymentFailed.example, reason: String(n) }));
      }
    });
  const numbers = (upTo: number) => Array.from({ length: upTo }, (_, i) => i + 1);
  let users = await startTestService(Inventory, 'users', { vhost, database, env, sql });
  await tell(1, 30);
  await eventually(async () => expect(await heard(InventoryStatusChanged)).toEqual(numbers(30)), WITHIN);
  await users.stop();
  await tell(31, 60);
  users = await startTestService(Both, 'users', { vhost, database, env, sql });
  await tell(61, 70);
  await eventually(async () => {
    expect(await heard(InventoryStatusChanged)).toEqual(numbers(70));
    expect(await heard(PaymentFailed)).toEqual(numbers(70));
  }, WITHIN);
  expect(await users.rows('select from messaging.parked_events')).toEqual([]);
  await users.stop();
  await orders.stop();
  await database.drop();
  await vhost.drop();
}, 90_000);
