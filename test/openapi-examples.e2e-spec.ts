// Swagger UI fills in the examples of the documentation, so that a person only has to press "Execute". So does this test.
import { Webhook } from 'standardwebhooks';
import { SECRET } from '../apps/orders/src/orders.fixture.js';
import { operationsOf, requestOf, type Operation } from './openapi.js';
import { openShop, type ServiceName, type Shop } from './shop.js';

/** As a person would do it: what is asked for must be there. */
const TOUR: [ServiceName, string, number][] = [
  ['orders', 'PUT /products/{sku}', 201],
  ['orders', 'PUT /products/{sku}/stock', 200],
  ['orders', 'GET /products', 200],
  ['orders', 'GET /products/{sku}', 200],
  ['users', 'POST /users', 201],
  ['users', 'GET /users', 200],
  ['users', 'GET /users/{id}', 200],
  ['users', 'PATCH /users/{id}', 200],
  ['orders', 'POST /orders', 202],
  ['orders', 'GET /orders', 200],
  ['orders', 'GET /orders/{id}', 200],
  ['orders', 'GET /customers/{userId}', 200],
  ['orders', 'POST /orders/{id}/cancel', 202],
  ['users', 'GET /users/{id}/notifications', 200],
  ['users', 'POST /users/{id}/deactivate', 200],
  ['orders', 'POST /webhooks/payments', 404],
];
const BY_ID = TOUR.filter(([, name]) => /\{(id|userId)\}/.test(name));

describe('The examples of the documentation', () => {
  let shop: Shop;
  const operations = new Map<string, Operation>();
  beforeAll(async () => {
    shop = await openShop({ env: { PAYMENT_WEBHOOK_SECRET: SECRET } });
    for (const service of ['users', 'orders'] as const) {
      for (const operation of await operationsOf(shop[service].http)) {
        operations.set(`${service}: ${operation.method} ${operation.path}`, operation);
      }
    }
  }, 180_000);
  afterAll(() => shop?.close());

  const execute = async (service: ServiceName, name: string, ids?: Record<string, string>) => {
    const { method, path, body, headers } = requestOf(operations.get(`${service}: ${name}`)!, ids);
    return shop[service].http(method, path, body, headers);
  };

  it('are those of every operation there is', () => {
    expect([...operations.keys()].sort()).toEqual(TOUR.map(([service, name]) => `${service}: ${name}`).sort());
  });

  it('work one after the other, with the ids that were answered', async () => {
    const ids: Record<string, Record<string, string>> = { users: {}, orders: {} };
    for (const [service, name, status] of TOUR) {
      if (name.includes('webhooks')) continue; // needs a signature, see below
      const answer = await execute(service, name, ids[service]);
      expect({ name, status: answer.status, body: answer.body }).toMatchObject({ name, status });
      if (name === 'POST /users' || name === 'POST /orders') ids[service]!.id = (answer.body as { id: string }).id;
    }
  });

  it.each(BY_ID)(
    'can be executed as they stand: %s: %s answers that, or what it documents',
    async (service, name, ok) => {
      const { statuses } = operations.get(`${service}: ${name}`)!;
      expect(statuses).toEqual(expect.arrayContaining([ok, 400, 404]));
      expect([ok, 404]).toContain((await execute(service, name)).status);
    },
  );

  it('may be executed again', async () => {
    for (const [service, name] of TOUR) {
      const { status } = await execute(service, name);
      expect({ name, status, documented: operations.get(`${service}: ${name}`)!.statuses }).toMatchObject({
        documented: expect.arrayContaining([status]),
      });
    }
  });

  it('of the webhook is refused without the secret, and understood with it', async () => {
    const { body, headers } = requestOf(operations.get('orders: POST /webhooks/payments')!);
    const send = (more: Record<string, string>) =>
      shop.orders.http('POST', '/webhooks/payments', JSON.stringify(body), { ...headers, ...more });
    expect(await send({})).toMatchObject({ status: 401 });
    const [id, at] = [headers['webhook-id']!, new Date()];
    const signed = {
      'webhook-timestamp': String(Math.floor(at.getTime() / 1000)),
      'webhook-signature': new Webhook(SECRET).sign(id, at, JSON.stringify(body)),
    };
    expect(await send(signed)).toMatchObject({ status: 404 }); // no such payment
  });
});
