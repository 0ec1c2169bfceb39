import { eventually } from '@app/testing';
import { startLoad, type Load } from './load.js';
import { openShop, type ServiceName, type Shop } from './shop.js';

describe('Under load, both services in processes of their own', () => {
  let shop: Shop;
  let load: Load;
  /** How many users there were before the load. */
  let before: number;
  beforeAll(async () => (shop = await openShop()), 120_000);
  afterAll(async () => {
    await load?.stop();
    await shop?.close();
  });
  beforeEach(async () => {
    before = await shop.count('users', 'users');
    load = startLoad((...request) => shop.users.http(...request));
  });

  const endAndStartAgain = async (service: ServiceName, signal: NodeJS.Signals) => {
    await load.more(100);
    const end = await shop[service].stop(signal);
    load.pauseMs = 50; // what starts needs the processor, too
    if (service === 'orders') await load.more(100); // `users` does not notice
    await shop.start(service);
    load.pauseMs = 0;
    await load.more(100);
    return end;
  };
  /** Every user who was told 201, and nobody else but those whose answer was lost, is one customer. */
  const everyUserIsOneCustomer = async () => {
    await load.stop();
    expect(load.refused).toEqual([]);
    await shop.atRest();
    const users = (await shop.rows<{ id: string }>('users', 'select id from users order by id')).map(({ id }) => id);
    const customers = await shop.rows<{ user_id: string }>('orders', 'select user_id from customers order by user_id');
    expect(customers.map(({ user_id }) => user_id)).toEqual(users);
    expect(await shop.count('users', 'messaging.events')).toBe(users.length);
    expect(new Set(users)).toEqual(expect.objectContaining({ size: users.length }));
    const known = new Set(users);
    expect(load.accepted.filter((id) => !known.has(id))).toEqual([]);
    return users;
  };

  it.each<ServiceName>(['users', 'orders'])(
    'SIGTERM lets %s finish what it is doing, and loses nothing',
    async (service) => {
      expect(await endAndStartAgain(service, 'SIGTERM')).toEqual({ code: 0, signal: null });
      const users = await everyUserIsOneCustomer();
      // Whatever it had begun it has answered: nobody is registered who does not know it.
      expect(users.length - before).toBe(load.accepted.length);
    },
    60_000,
  );

  it.each<ServiceName>(['users', 'orders'])(
    'kill -9 of %s loses and duplicates nothing',
    async (service) => {
      for (let crash = 1; crash <= 2; crash++) {
        expect(await endAndStartAgain(service, 'SIGKILL')).toEqual({ code: null, signal: 'SIGKILL' });
      }
      await everyUserIsOneCustomer();
    },
    60_000,
  );

  it('a relay that dies between confirm and delete does nothing twice', async () => {
    await everyUserIsOneCustomer();
    const { api, name } = shop.vhost;
    await api('PUT', `queues/${name}/witness`, { durable: true });
    await api('POST', `bindings/${name}/e/users.events/q/witness`, { routing_key: '#' });
    const published = async (id: string) => {
      const messages = await api<{ payload: string }[]>('POST', `queues/${name}/witness/get`, {
        count: 10,
        ackmode: 'ack_requeue_true',
        encoding: 'auto',
      });
      return messages.filter(({ payload }) => payload.includes(id)).length;
    };
    await shop.rows(
      'users',
      `
      create function stand_still() returns trigger language plpgsql as $$ begin perform pg_sleep(60); return old; end $$`,
    );
    await shop.rows(
      'users',
      `
      create trigger stand_still before delete on messaging.outbox for each row execute function stand_still()`,
    );

    const { body } = await shop.users.http('POST', '/users', { name: 'Alice', email: 'alice@example.com' });
    const { id } = body as { id: string };
    await eventually(async () =>
      expect(await shop.orders.http('GET', `/customers/${id}`)).toMatchObject({ status: 200 }),
    );
    const deleting = `from pg_stat_activity where datname = current_database() and query like 'delete from messaging.outbox%' and state = 'active'`;
    await eventually(async () => expect(await shop.rows('users', `select ${deleting}`)).toHaveLength(1));
    await shop.users.stop('SIGKILL');
    await shop.rows('users', `select pg_terminate_backend(pid) ${deleting}`);
    await shop.rows('users', 'drop trigger stand_still on messaging.outbox');
    expect(await shop.count('users', 'messaging.outbox')).toBe(1);

    await shop.start('users');
    await shop.atRest();
    expect(await published(id)).toBe(2);
    expect(await shop.rows('orders', 'select from customers where user_id = $1', id)).toHaveLength(1);
  }, 60_000);
});
