import { spawnSync } from 'node:child_process';
import path from 'node:path';
import {
  createServiceDatabase,
  createTestVhost,
  eventually,
  freePort,
  startServiceProcess,
  type ServiceProcess,
  type TestDatabase,
  type TestVhost,
} from '@app/testing';
import { startOrdersAndSandbox, type OrdersFixture } from '../apps/orders/src/orders.fixture.js';

describe('A service that joins long after the first orders', () => {
  let vhost: TestVhost;
  let database: TestDatabase;
  let orders: OrdersFixture;
  let shipping: ServiceProcess | undefined;
  beforeAll(async () => {
    [vhost, database] = await Promise.all([createTestVhost(), createServiceDatabase('shipping', 'examples/shipping')]);
    orders = await startOrdersAndSandbox({ vhost, env: { BOOKS_INTERVAL_MS: '500' } });
  }, 60_000);
  afterAll(async () => {
    await shipping?.stop();
    await orders?.stop();
    await database?.drop();
    await vhost?.drop();
  });

  /** Orders that are paid for. @returns their ids */
  const confirm = async (count: number): Promise<string[]> => {
    const [userId, sku] = await Promise.all([orders.customer(), orders.product()]);
    const placed = await Promise.all(Array.from({ length: count }, () => orders.order(userId, { sku, quantity: 1 })));
    for (const { id } of placed) await orders.until(id, 'confirmed');
    return placed.map(({ id }) => id);
  };
  const isShipped = (orderId: string, timeoutMs: number) =>
    eventually(
      async () => {
        const { status, body } = await shipping!.http('GET', `/shipments/${orderId}`);
        expect({ status, body }).toMatchObject({ status: 200, body: { orderId } });
      },
      { timeoutMs },
    );

  it('hears all of history, then what happens now, and nobody else notices', async () => {
    const before = await confirm(5);
    await eventually(async () => expect(await orders.rows('select from messaging.outbox')).toEqual([]));

    shipping = await startServiceProcess('shipping', {
      port: await freePort(),
      databaseUrl: database.url,
      rabbitmqUrl: vhost.url,
      env: { BOOKS_INTERVAL_MS: '500' },
    });
    for (const orderId of before) await isShipped(orderId, 30_000);
    const after = await confirm(2);
    for (const orderId of after) await isShipped(orderId, 10_000);
  }, 120_000);

  it('needs no line in the services that were there before', () => {
    const root = path.join(import.meta.dirname, '..');
    const mentions = spawnSync('grep', ['-rilE', 'shipping|shipment', 'apps'], { cwd: root, encoding: 'utf8' });
    expect(mentions).toMatchObject({ status: 1, stdout: '' }); // grep has found nothing
  });
});
