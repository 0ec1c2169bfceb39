import { createServer, type Server } from 'node:http';
import { createServiceDatabase, eventually, freePort, type TestDatabase } from '@app/testing';
import { startOrders, type OrdersFixture } from '../orders.fixture.js';
import { pauseAfter } from './payment-worker.js';

/** A provider that answers as it is told, and remembers what it was asked. */
interface Provider {
  url: string;
  calls: { path: string; key: string; body: Record<string, unknown> }[];
  answer: (call: number) => { status: number; body: string } | undefined;
  server: Server;
}

const accepted = { status: 202, body: '{"reference":"pay_1"}' };

async function startProvider(): Promise<Provider> {
  const port = await freePort();
  const server = createServer((request, response) => {
    let text = '';
    request.on('data', (chunk: Buffer) => (text += chunk.toString()));
    request.on('end', () => {
      const key = String(request.headers['idempotency-key']);
      provider.calls.push({ path: request.url!, key, body: JSON.parse(text) as Record<string, unknown> });
      const answer = provider.answer(provider.calls.length);
      if (answer) response.writeHead(answer.status).end(answer.body);
      else request.socket.destroy();
    });
  });
  const provider: Provider = { url: `http://127.0.0.1:${port}`, calls: [], answer: () => accepted, server };
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  return provider;
}

let provider: Provider;
let database: TestDatabase;
const running: OrdersFixture[] = [];
const open = async () => {
  [provider, database] = await Promise.all([startProvider(), createServiceDatabase('orders')]);
};
const close = async () => {
  for (const service of running.splice(0)) await service.stop();
  provider.server.close();
  provider.server.closeAllConnections();
  await database.drop();
};
const start = async (roles = 'api,relay,inbox,workers', env: Record<string, string> = {}) => {
  const service = await startOrders({ database, env: { PAYMENT_PROVIDER_URL: provider.url, ROLES: roles, ...env } });
  running.push(service);
  return service;
};
const orderWith = async (orders: OrdersFixture, count = 1) => {
  const [userId, sku] = [await orders.customer(), await orders.product(1_000)];
  return Promise.all(Array.from({ length: count }, () => orders.order(userId, { sku, quantity: 2 })));
};
const nothingIsLeft = (orders: OrdersFixture, timeoutMs?: number) =>
  eventually(async () => expect(await orders.rows('select * from payment_requests')).toEqual([]), { timeoutMs });

describe('the payment worker', () => {
  let orders: OrdersFixture;
  beforeAll(async () => {
    await open();
    orders = await start();
  });
  afterAll(close);
  beforeEach(() => {
    provider.calls.length = 0;
    provider.answer = () => accepted;
  });

  it('asks once, at once, under the id of the payment, and keeps the provider’s name of it', async () => {
    const [order] = await orderWith(orders);
    await nothingIsLeft(orders);
    const { id: paymentId } = await orders.payment(order!.id);
    const { id: orderId, userId } = order!;
    expect(provider.calls).toEqual([
      {
        path: '/payments',
        key: `"${paymentId}"`,
        body: { paymentId, orderId, userId, amountMinor: 2_500, currency: 'EUR' },
      },
    ]);
    expect(await orders.rows('select provider_reference from payments where order_id = $1', orderId)).toEqual([
      { provider_reference: 'pay_1' },
    ]);
  });

  it.each<[string, Provider['answer']]>([
    ['breaks off', (call) => (call === 1 ? undefined : accepted)],
    ['fails', (call) => (call === 1 ? { status: 503, body: 'busy' } : accepted)],
    ['redirects', (call) => (call === 1 ? { status: 302, body: '' } : accepted)],
    ['fails with what cannot be stored', (call) => (call === 1 ? { status: 500, body: 'no\0' } : accepted)],
    [
      'gives it a name that cannot be stored',
      (call) => (call === 1 ? { status: 202, body: String.raw`{"reference":"\u0000"}` } : accepted),
    ],
    ['answers nonsense', (call) => (call === 1 ? { status: 200, body: '<html>' } : accepted)],
  ])('asks again, under the same id, if the provider %s', async (_, answer) => {
    provider.answer = answer;
    await orderWith(orders);
    await nothingIsLeft(orders, 10_000); // else it was forgotten, and found again when its lease had ended
    expect(provider.calls).toHaveLength(2);
    expect(provider.calls[1]).toEqual(provider.calls[0]);
  });

  it('no longer asks for an order that is cancelled, and shows what it could not ask', async () => {
    provider.answer = () => ({ status: 500, body: 'no' });
    const started = Date.now();
    const [order] = await orderWith(orders);
    await eventually(async () =>
      expect(await orders.rows('select error from payment_requests')).toEqual([
        { error: expect.stringContaining('the provider answered 500 no') },
      ]),
    );
    const { body } = await orders.http('GET', '/metrics');
    const age = Number(/^payment_requests_oldest_age_seconds (\d+\.\d+)$/m.exec(String(body))?.[1]);
    expect(age).toBeGreaterThan(0);
    expect(age).toBeLessThanOrEqual((Date.now() - started) / 1000);
    await orders.http('POST', `/orders/${order!.id}/cancel`);
    await nothingIsLeft(orders);
  });
});

describe('payment workers', () => {
  beforeEach(open);
  afterEach(close);

  it('leaves what is to be asked for whoever comes after it', async () => {
    const first = await start('api,relay,inbox');
    const placed = await orderWith(first, 3);
    await first.stop();
    running.splice(0);
    const second = await start();
    await nothingIsLeft(second);
    expect(provider.calls.map(({ body }) => body.orderId).sort()).toEqual(placed.map(({ id }) => id).sort());
  });

  it('takes over a call whose worker has died, but not one that is running', async () => {
    const orders = await start('api,relay,inbox');
    await orderWith(orders, 2);
    const [dead, alive] = await orders.rows<{ id: string }>('select id from payment_requests order by id');
    await orders.database.query('update payment_requests set attempts = 1, due_at = now() where id = $1', [dead!.id]);
    await orders.database.query(`update payment_requests set due_at = now() + interval '1 hour' where id = $1`, [
      alive!.id,
    ]);
    await start('workers');
    await eventually(async () =>
      expect(await orders.rows('select id from payment_requests')).toEqual([{ id: alive!.id }]),
    );
    expect(provider.calls.map(({ key }) => key)).toEqual([`"${dead!.id}"`]);
  });

  it('asks once for each payment, however many workers there are', async () => {
    const orders = await start();
    await Promise.all([start('workers'), start('workers')]);
    // Ten at a time: more would only wait for a connection, on a busy machine until they are refused.
    for (let round = 0; round < 6; round += 1) await orderWith(orders, 10);
    await nothingIsLeft(orders);
    expect(new Set(provider.calls.map(({ key }) => key)).size).toBe(60);
    expect(provider.calls).toHaveLength(60);
  });

  it('waits longer each time, up to a minute, and never in step with others', () => {
    const pauses = (attempts: number) => Array.from({ length: 200 }, () => pauseAfter(attempts));
    for (const [attempts, most] of [
      [1, 500],
      [2, 1_000],
      [4, 4_000],
      [50, 60_000],
    ] as const) {
      expect(Math.max(...pauses(attempts))).toBeLessThanOrEqual(most);
      expect(Math.min(...pauses(attempts))).toBeGreaterThanOrEqual(most / 10);
      expect(new Set(pauses(attempts)).size).toBeGreaterThan(190);
    }
  });
});
