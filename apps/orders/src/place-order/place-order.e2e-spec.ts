import { randomUUID } from 'node:crypto';
import { UserDeactivated, UserTierChanged } from '@app/contracts';
import { eventually } from '@app/testing';
import { startOrders, type OrdersFixture } from '../orders.fixture.js';
import type { OrderView } from '../order-view.js';

describe('POST /orders', () => {
  let orders: OrdersFixture;
  let userId: string;
  let sku: string;
  beforeAll(async () => (orders = await startOrders()));
  afterAll(() => orders?.stop());
  beforeEach(async () => {
    [userId, sku] = [await orders.customer(), await orders.product(10)];
  });

  const post = async (body: unknown, headers?: Record<string, string>) => {
    const answer = await orders.http('POST', '/orders', body, headers);
    return { status: answer.status, location: answer.headers.get('location'), body: answer.body as OrderView };
  };
  const ordersOf = (user: string) => orders.rows('select id from orders where user_id = $1', user);

  it('takes the order in and says where it is; goods are promised, the price is fixed', async () => {
    const { status, location, body } = await post({ userId, lines: [{ sku, quantity: 3 }] });
    expect(status).toBe(202);
    expect(location).toBe(`/orders/${body.id}`);
    expect(body).toEqual({
      id: expect.stringMatching(/^[\da-f]{8}-[\da-f]{4}-7/),
      userId,
      status: 'awaiting-payment',
      lines: [{ sku, quantity: 3, unitPriceMinor: 1_250 }],
      discountMinor: 0,
      totalMinor: 3_750,
      currency: 'EUR',
      history: [
        { status: 'placed', at: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*\d{3}Z$/) },
        { status: 'awaiting-payment', at: expect.any(String) },
      ],
    });
    expect(await orders.read(body.id)).toEqual(body);
    expect(await orders.stock(sku)).toEqual({ onHand: 10, reserved: 3, available: 7, status: 'in-stock' });
    expect(await orders.payment(body.id)).toMatchObject({ status: 'pending' });
  });

  it('keeps order, stock, payment and events, or none of them', async () => {
    await orders.database.query(`
      create function refuse() returns trigger language plpgsql as $$ begin raise 'the log is full'; end $$;
      create trigger refuse before insert on messaging.events for each row
        when (new.type = 'orders.order.placed.v1') execute function refuse()`);
    try {
      expect(await post({ userId, lines: [{ sku, quantity: 3 }] })).toMatchObject({ status: 500 });
    } finally {
      await orders.database.query('drop trigger refuse on messaging.events');
    }
    expect(await ordersOf(userId)).toEqual([]);
    expect(await orders.stock(sku)).toMatchObject({ reserved: 0 });
  });

  it.each([
    ['silver', 125],
    ['gold', 250],
  ] as const)('takes off the discount of the tier: %s', async (to, discountMinor) => {
    await orders.deliver(new UserTierChanged({ userId, from: 'standard', to, points: 5_000 }), { twice: true });
    await eventually(async () =>
      expect(await orders.http('GET', `/customers/${userId}`)).toMatchObject({ body: { tier: to } }),
    );
    const order = await orders.order(userId, { sku, quantity: 2 });
    expect(order).toMatchObject({ discountMinor, totalMinor: 2_500 - discountMinor });
    expect(await orders.told(order.id)).toMatchObject([{ data: { discountMinor, totalMinor: order.totalMinor } }]);
  });

  it('acts once per Idempotency-Key', async () => {
    const body = { userId, lines: [{ sku, quantity: 3 }] };
    const key = { 'idempotency-key': `"${randomUUID()}"` };
    const first = await post(body, key);
    expect(first.status).toBe(202);
    expect(await post(body, key)).toEqual(first);
    expect(await ordersOf(userId)).toHaveLength(1);
    expect(await post({ ...body, lines: [{ sku, quantity: 4 }] }, key)).toMatchObject({ status: 422 });
    expect(await orders.stock(sku)).toMatchObject({ reserved: 3 });
  });

  it('answers 409 if there is not enough, and takes nothing of what there is', async () => {
    const scarce = await orders.product(1);
    const lines = [
      { sku, quantity: 2 },
      { sku: scarce, quantity: 2 },
    ];
    expect(await post({ userId, lines })).toMatchObject({
      status: 409,
      body: { detail: `Out of stock: ${scarce}.`, errors: [{ pointer: '#/lines/1/quantity' }] },
    });
    expect(await orders.stock(sku)).toMatchObject({ reserved: 0 });
    expect(await ordersOf(userId)).toEqual([]);
  });

  it('sells the last one to exactly one of many buyers', async () => {
    const last = await orders.product(1);
    const answers = await Promise.all(
      Array.from({ length: 12 }, () => post({ userId, lines: [{ sku: last, quantity: 1 }] })),
    );
    expect(answers.map(({ status }) => status).sort()).toEqual([202, ...Array<number>(11).fill(409)]);
    expect(await orders.stock(last)).toEqual({ onHand: 1, reserved: 1, available: 0, status: 'out-of-stock' });
    expect(await orders.told(last)).toMatchObject([
      { data: { previous: 'out-of-stock', status: 'low-stock', available: 1 } },
      { data: { previous: 'low-stock', status: 'out-of-stock', available: 0 } },
    ]);
  });

  it('does not deadlock when orders name the same products in different order', async () => {
    const [one, two] = [await orders.product(1_000), await orders.product(1_000)];
    /** Repeats what was refused for a lock that was not free in time, as on a busy machine; it has changed nothing. */
    const taken = async (lines: object[]) => {
      const answered = await eventually(async () => {
        const { status } = await post({ userId, lines });
        expect(status).not.toBe(503);
        return status;
      });
      expect(answered).toBe(202);
    };
    const orderBoth = (_: unknown, n: number) => {
      const lines = [one, two].map((product) => ({ sku: product, quantity: 1 }));
      return taken(n % 2 ? lines : lines.reverse());
    };
    for (let round = 0; round < 4; round += 1) await Promise.all(Array.from({ length: 10 }, orderBoth));
    expect(await orders.stock(two)).toMatchObject({ reserved: 40 });
    expect(await orders.rows('select deadlocks::int from pg_stat_database where datname = current_database()')).toEqual(
      [{ deadlocks: 0 }],
    );
  });

  it('keeps the order of somebody who is not known yet: quoted, with nothing promised and nothing told', async () => {
    const stranger = randomUUID();
    const order = await orders.order(stranger.toUpperCase(), { sku, quantity: 2 });
    expect(order).toMatchObject({ status: 'awaiting-customer', userId: stranger, totalMinor: 2_500 });
    expect(order.history).toMatchObject([{ status: 'awaiting-customer' }]);
    expect(await orders.stock(sku)).toMatchObject({ reserved: 0 });
    expect(await orders.told(order.id)).toEqual([]);
    expect(await orders.http('GET', `/customers/${stranger}`)).toMatchObject({
      body: { userId: stranger, status: 'unknown', tier: 'standard' },
    });
  });

  it('answers 422 to unknown products, mixed currencies and closed accounts', async () => {
    const dollars = await orders.product(10, { currency: 'USD' });
    const line = { sku, quantity: 1 };
    expect(await post({ userId, lines: [line, { sku: 'unheard-of', quantity: 1 }] })).toMatchObject({
      status: 422,
      body: { errors: [{ pointer: '#/lines/1/sku' }] },
    });
    expect(await post({ userId, lines: [line, { sku: dollars, quantity: 1 }] })).toMatchObject({
      status: 422,
      body: { detail: 'One order, one currency: not EUR and USD.' },
    });
    await orders.deliver(new UserDeactivated({ userId }));
    await eventually(async () =>
      expect(await post({ userId, lines: [line] })).toMatchObject({
        status: 422,
        body: { errors: [{ pointer: '#/userId' }] },
      }),
    );
  });

  const line = { sku: 'teapot', quantity: 1 };
  const user = '0199d2c4-7b1e-7c3a-9f60-2b8f1f4f2a11';
  it.each<[string, unknown, string[]]>([
    ['no user', { lines: [line] }, ['#/userId']],
    ['a user that is no id', { userId: 'alice', lines: [line] }, ['#/userId']],
    ['no lines', { userId: user, lines: [] }, ['#/lines']],
    [
      '101 lines',
      { userId: user, lines: Array.from({ length: 101 }, (_, n) => ({ sku: `s${n}`, quantity: 1 })) },
      ['#/lines'],
    ],
    ['one product twice', { userId: user, lines: [line, line] }, ['#/lines/1/sku']],
    ['a quantity of 0', { userId: user, lines: [{ ...line, quantity: 0 }] }, ['#/lines/0/quantity']],
    ['half a product', { userId: user, lines: [{ ...line, quantity: 0.5 }] }, ['#/lines/0/quantity']],
    ['too many', { userId: user, lines: [{ ...line, quantity: 1_001 }] }, ['#/lines/0/quantity']],
    ['a price', { userId: user, lines: [{ ...line, unitPriceMinor: 1 }] }, ['#/lines/0/unitPriceMinor']],
    ['no SKU', { userId: user, lines: [{ sku: 'tea pot', quantity: 1 }] }, ['#/lines/0/sku']],
  ])('answers 400 to %s', async (_, given, pointers) => {
    const { status, body } = await post(given);
    expect(status).toBe(400);
    const { errors } = body as unknown as { errors: { pointer: string }[] };
    expect(errors.map(({ pointer }) => pointer)).toEqual(pointers);
  });
});
