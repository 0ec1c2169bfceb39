import {
  eventually,
  startServers,
  startTestService,
  vhostOn,
  type TestServers,
  type TestService,
  type TestVhost,
} from '@app/testing';
import { startOrders } from '../apps/orders/src/orders.fixture.js';
import { UsersModule } from '../apps/users/src/users.module.js';
import { startLoad } from './load.js';

describe('RabbitMQ is away', () => {
  let servers: TestServers;
  let vhost: TestVhost;
  let users: TestService;
  let orders: TestService;
  /** Nobody listens on its ports any more; its process stays, which makes the next start quick. */
  const stopBroker = async () => {
    // RabbitMQ 3.x waits five seconds in vain for this handler as it stops. No blanks: they separate arguments.
    const withoutHandler = 'gen_event:delete_handler(rabbit_event,rabbit_mgmt_db_handler,[])';
    await servers.rabbitmqctl(['eval', `${withoutHandler},rabbit:stop().`]);
  };
  const startBroker = () => servers.rabbitmqctl(['start_app']);
  beforeAll(async () => {
    servers = await startServers({ only: 'rabbitmq' });
    vhost = await vhostOn(servers.rabbitmqUrl, servers.managementUrl);
    await stopBroker();
    // Whoever reaches the new broker first may tell something before the other listens: the books bring it.
    const env = { BOOKS_INTERVAL_MS: '500' };
    [users, orders] = await Promise.all([
      startTestService(UsersModule, 'users', { vhost, env, doNotWait: true }),
      startOrders({ vhost, env, doNotWait: true }),
    ]);
  }, 60_000);
  afterAll(async () => {
    await users?.stop();
    await orders?.stop();
    await servers?.close();
  }, 60_000);

  const register = async (email: string) => {
    const { status, body } = await users.http('POST', '/users', { name: 'Alice', email });
    expect(status).toBe(201);
    return (body as { id: string }).id;
  };
  const unpublished = async () => Number((await users.rows('select count(*) as n from messaging.outbox'))[0]!.n);
  const areCustomers = (ids: readonly string[]) =>
    eventually(
      async () => {
        const [known] = await orders.rows(
          'select count(*)::int as customers from customers where user_id = any($1)',
          ids,
        );
        expect(known).toEqual({ customers: ids.length });
      },
      { timeoutMs: 20_000 },
    );
  const isReady = () =>
    eventually(
      async () => {
        for (const service of [users, orders]) expect((await service.ready()).body).toMatchObject({ status: 'ok' });
      },
      { timeoutMs: 20_000 },
    );

  it('when the services start: they are alive, they work, and say what is wrong', async () => {
    for (const service of [users, orders]) {
      expect(await service.http('GET', '/health/live')).toMatchObject({ status: 200 });
      await eventually(async () =>
        expect(await service.ready()).toMatchObject({ status: 200, body: { status: 'degraded' } }),
      );
    }
    const why = expect.stringMatching(/RabbitMQ .*ECONNREFUSED.*Is RabbitMQ running/);
    await eventually(async () =>
      expect((await users.ready()).body).toMatchObject({ checks: { relay: { status: 'degraded', reason: why } } }),
    );
    await eventually(async () =>
      expect((await orders.ready()).body).toMatchObject({ checks: { inbox: { status: 'degraded', reason: why } } }),
    );
    const id = await register('early@example.com');
    expect(await users.http('GET', `/users/${id}`)).toMatchObject({ status: 200 });
    expect(await orders.http('GET', `/customers/${id}`)).toMatchObject({ status: 404 });
    expect(await unpublished()).toBe(1);

    await startBroker();
    await areCustomers([id]);
    await isReady();
    expect(await unpublished()).toBe(0);
  }, 60_000);

  it('while they work: users are accepted, and become customers when it is back', async () => {
    const before = await register('before@example.com');
    await areCustomers([before]);
    await stopBroker();
    await eventually(async () => expect((await users.ready()).body).toMatchObject({ status: 'degraded' }));
    const ids = await Promise.all(Array.from({ length: 50 }, (_, i) => register(`during-${i}@example.com`)));
    expect(await unpublished()).toBe(50);
    expect(await orders.http('GET', `/customers/${before}`)).toMatchObject({ status: 200 });

    await startBroker();
    await areCustomers(ids);
    await isReady();
    expect(await register('after@example.com')).toEqual(expect.any(String));
  }, 60_000);

  it('suddenly, killed under load: nothing is lost, nothing is applied twice', async () => {
    const load = startLoad(users.http, 4);
    try {
      await load.more(100);
      await servers.kill('rabbitmq');
      load.pauseMs = 20; // what starts needs the processor, too
      await load.more(100);
      await servers.start('rabbitmq');
      load.pauseMs = 0;
      await load.more(100);
    } finally {
      await load.stop();
    }
    expect(load.refused).toEqual([]);
    await areCustomers(load.accepted);
    await eventually(async () => expect(await unpublished()).toBe(0));
    expect(await orders.rows('select from messaging.parked_events')).toEqual([]);
    const [applied] = await orders.rows(
      `select (coalesce((select sum(applied) from messaging.inbox_pages), 0)
             + coalesce((select sum(folded) from messaging.inbox_books), 0))::int as events`,
    );
    expect(applied).toEqual({ events: (await users.sentBy()).length });
  }, 60_000);
});
