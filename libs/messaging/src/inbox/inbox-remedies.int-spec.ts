import { randomUUID } from 'node:crypto';
import { UserRegistered } from '@app/contracts';
import {
  createTestVhost,
  eventually,
  reactingService,
  startTestService,
  Teller,
  TellingModule,
  type TestService,
  type TestVhost,
} from '@app/testing';

const Listening = reactingService(UserRegistered, ({ userId }, tx) =>
  tx.query('insert into seen (user_id) values ($1)', [userId]),
);
const env = { BOOKS_INTERVAL_MS: '500' };

describe('A running inbox says what to do, and goes on by itself once it is done, when somebody', () => {
  const user = { name: `test-${randomUUID()}`, password: 'secret' };
  let vhost: TestVhost;
  let users: TestService;
  let orders: TestService;
  const permit = (permissions: { configure?: string; read?: string } = {}) =>
    vhost.api('PUT', `permissions/${vhost.name}/${user.name}`, {
      configure: '.*',
      write: '.*',
      read: '.*',
      ...permissions,
    });
  beforeEach(async () => {
    vhost = await createTestVhost();
    await vhost.api('PUT', `users/${user.name}`, { password: user.password, tags: '' });
    await permit();
    const url = new URL(vhost.url);
    url.username = user.name;
    url.password = user.password;
    users = await startTestService(TellingModule, 'users', { vhost, env });
    orders = await startTestService(Listening, 'orders', {
      vhost: { ...vhost, url: url.href },
      env,
      sql: 'create table seen (user_id uuid primary key)',
    });
    await tellAndSee();
  });
  afterEach(async () => {
    await orders.stop();
    await users.stop();
    await vhost.api('DELETE', `users/${user.name}`);
    await vhost.drop();
  });

  const tell = async () => {
    const userId = randomUUID();
    await users.app.get(Teller).tell(userId, 'Ann');
    return userId;
  };
  const isSeen = (userId: string) =>
    eventually(async () => {
      expect(await orders.rows('select from seen where user_id = $1', userId)).toHaveLength(1);
    });
  const tellAndSee = async () => isSeen(await tell());
  const says = (remedy: RegExp) =>
    eventually(async () => {
      const reason = expect.stringMatching(remedy) as string;
      const checks = { inbox: { status: 'degraded', reason } };
      expect(await orders.ready()).toMatchObject({ status: 200, body: { status: 'degraded', checks } });
    });
  const isWell = () => eventually(async () => expect((await orders.ready()).body).toMatchObject({ status: 'ok' }));

  it.each([
    ['as a classic one', { 'x-queue-type': 'classic' }],
    ['with other arguments', { 'x-queue-type': 'quorum', 'x-delivery-limit': 3 }],
  ])('has declared its queue anew, %s', async (_, args) => {
    await eventually(async () => {
      await vhost.deleteQueue('orders.inbox'); // the inbox may declare it before us
      await vhost.api('PUT', `queues/${vhost.name}/orders.inbox`, { durable: true, arguments: args });
    });
    await says(/PRECONDITION.FAILED.*delete it in the management UI/);
    const meanwhile = await tell();
    await vhost.deleteQueue('orders.inbox');
    await isWell();
    await isSeen(meanwhile);
    await tellAndSee();
  });

  it.each(['configure', 'read'])('has revoked its permission to %s', async (permission) => {
    await permit({ [permission]: '^$' });
    // A channel remembers what it was permitted, for as long as it is busy every now and then.
    await vhost.api('DELETE', `connections/username/${user.name}`);
    await says(/ACCESS.REFUSED.*needs configure, write and read permission/);
    const meanwhile = await tell();
    await permit();
    await isWell();
    await isSeen(meanwhile);
    await tellAndSee();
  });
});
