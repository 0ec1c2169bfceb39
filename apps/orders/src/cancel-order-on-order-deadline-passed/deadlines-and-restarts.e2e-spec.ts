import { setTimeout as delay } from 'node:timers/promises';
import { createServiceDatabase, createTestVhost, type TestDatabase, type TestVhost } from '@app/testing';
import { startOrders, type OrdersFixture } from '../orders.fixture.js';

const TIMEOUT_MS = 4_000;

describe('A deadline', () => {
  let database: TestDatabase;
  let vhost: TestVhost;
  let orders: OrdersFixture | undefined;
  beforeEach(async () => {
    [database, vhost] = await Promise.all([createServiceDatabase('orders'), createTestVhost()]);
  });
  afterEach(async () => {
    await orders?.stop();
    await vhost.drop();
    await database.drop();
  });

  const start = async () =>
    (orders = await startOrders({ database, vhost, env: { PAYMENT_TIMEOUT_MS: `${TIMEOUT_MS}` } }));
  const place = async ({ customer, product, order }: OrdersFixture) => {
    const sku = await product(10);
    const { id, history } = await order(await customer(), { sku, quantity: 1 });
    return { id, sku, dueAt: Date.parse(history.at(-1)!.at) + TIMEOUT_MS };
  };
  const cancelledAt = async (id: string) => {
    const { history } = await orders!.until(id, 'cancelled');
    expect(history.at(-1)).toMatchObject({ reason: 'not paid in time' });
    return Date.parse(history.at(-1)!.at);
  };

  it('that passes while the service is away cancels the order as soon as it is back', async () => {
    const { id, sku, dueAt } = await place(await start());
    await orders!.stop();
    await delay(Math.max(0, dueAt - Date.now()) + 100);
    const { read, stock } = await start();
    const backAt = Date.now();
    expect(await cancelledAt(id)).toBeGreaterThanOrEqual(dueAt);
    expect((await cancelledAt(id)) - backAt).toBeLessThan(5_000);
    expect((await read(id)).history.map(({ status }) => status)).toEqual(['placed', 'awaiting-payment', 'cancelled']);
    expect(await stock(sku)).toMatchObject({ onHand: 10, reserved: 0 });
  }, 60_000);

  it('that is set before a restart passes when it was to pass, not earlier, and not much later', async () => {
    const { id, dueAt } = await place(await start());
    await orders!.stop();
    await start();
    const late = (await cancelledAt(id)) - dueAt;
    expect(late).toBeGreaterThanOrEqual(0);
    expect(late).toBeLessThan(5_000);
  }, 60_000);
});
