import { randomUUID } from 'node:crypto';
import { UserRegistered } from '@app/contracts';
import {
  createServiceDatabase,
  createTestVhost,
  eventually,
  reactingService,
  startTestService,
  userNamed,
  type TestDatabase,
  type TestService,
  type TestVhost,
} from '@app/testing';
import { UsersModule } from '../apps/users/src/users.module.js';

/** A promise with its end in the test's hands. */
function gate() {
  let open = () => {};
  const opened = new Promise<void>((resolve) => (open = resolve));
  return { open, opened };
}

describe('A service that is asked to end', () => {
  let vhost: TestVhost;
  let database: TestDatabase;
  beforeAll(async () => {
    [vhost, database] = await Promise.all([createTestVhost(), createServiceDatabase('orders')]);
  });
  afterAll(async () => {
    await database?.drop();
    await vhost?.drop();
  });

  let begun = gate();
  let finish = gate();
  let runs: string[] = [];
  beforeEach(() => {
    [begun, finish, runs] = [gate(), gate(), []];
  });
  const Slow = reactingService(UserRegistered, async ({ userId, name }, tx) => {
    runs.push(name);
    begun.open();
    await finish.opened;
    await tx.query('insert into seen (user_id, name) values ($1, $2)', [userId, name]);
  });
  const start = () =>
    startTestService(Slow, 'orders', {
      vhost,
      database,
      sql: 'create table if not exists seen (user_id uuid, name text)',
    });
  const names = async (orders: TestService) =>
    (await orders.rows<{ name: string }>('select name from seen order by name')).map(({ name }) => name);

  it('finishes the event in its hands, leaves the rest in the queue, and does neither again nor forget', async () => {
    const first = await start();
    await first.deliver(userNamed(randomUUID(), '1 in its hands'));
    await begun.opened;
    await first.deliver(userNamed(randomUUID(), '2 waits in the process'));
    await first.deliver(userNamed(randomUUID(), '3 waits in the process'));
    const stopped = first.stop();
    await eventually(async () => expect(await first.ready()).toMatchObject({ body: { status: 'shutting_down' } }));
    finish.open();
    await stopped;
    expect(runs).toEqual(['1 in its hands']);

    const second = await start();
    try {
      await eventually(async () =>
        expect(await names(second)).toEqual(['1 in its hands', '2 waits in the process', '3 waits in the process']),
      );
      expect(runs).toHaveLength(3);
    } finally {
      await second.stop();
    }
  });

  it('answers the request that is running, and publishes its event', async () => {
    const users = await startTestService(UsersModule, 'users', { vhost });
    const holder = await users.database.connect();
    await holder.query('begin; lock table users in exclusive mode');
    const answer = users.http('POST', '/users', { name: 'Alice', email: 'alice@example.com' });
    await eventually(async () =>
      expect(
        await users.rows(
          `select from pg_stat_activity where wait_event_type = 'Lock' and query like 'insert into "users"%'`,
        ),
      ).toHaveLength(1),
    );
    const stopped = users.app.close();
    await eventually(() => expect(users.http('GET', '/health/live')).rejects.toThrow('fetch failed'));
    await holder.query('commit');
    holder.release();
    expect(await answer).toMatchObject({ status: 201 });
    await stopped;
    expect(await users.rows('select from messaging.outbox')).toEqual([]);
    expect(await users.sentBy()).toHaveLength(1);
    await users.stop();
  });
});
