import { randomUUID } from 'node:crypto';
import { UserRegistered } from '@app/contracts';
import { eventually } from '@app/testing';
import { MAX_LINES } from '../money.js';
import { startOrdersAndSandbox, type OrdersFixture, type Sandbox } from '../orders.fixture.js';

describe('OpenCustomerOnUserRegistered, when orders have waited for the customer', () => {
  let orders: OrdersFixture & { sandbox: Sandbox };
  let userId: string;
  let sku: string;
  beforeAll(async () => (orders = await startOrdersAndSandbox()));
  afterAll(() => orders?.stop());
  beforeEach(async () => {
    userId = randomUUID();
    sku = await orders.product(10);
  });

  const registered = () => new UserRegistered({ userId, name: 'Alice', email: 'alice@example.com' });
  const statusesOf = async (id: string) => (await orders.read(id)).history.map(({ status }) => status);

  it('places them, once, at the price that was quoted', async () => {
    const { id } = await orders.order(userId, { sku, quantity: 2 });
    const another = await orders.order(userId, { sku, quantity: 1 });
    await orders.http('PUT', `/products/${sku}`, { name: 'Teapot', priceMinor: 9_999, currency: 'EUR' });
    await orders.deliver(registered(), { twice: true });
    await orders.until(another.id, 'confirmed');
    expect(await orders.until(id, 'confirmed')).toMatchObject({ totalMinor: 2_500 });
    expect(await statusesOf(id)).toEqual(['awaiting-customer', 'placed', 'awaiting-payment', 'confirmed']);
    expect((await orders.told(id)).map(({ fact }) => fact)).toEqual(['order.placed', 'order.confirmed']);
    expect(await orders.stock(sku)).toMatchObject({ onHand: 7, reserved: 0 });
    expect(await orders.http('GET', `/customers/${userId}`)).toMatchObject({
      body: { status: 'active', name: 'Alice' },
    });
  });

  it('cancels those for which nothing is left, and places the rest', async () => {
    const first = await orders.order(userId, { sku, quantity: 8 });
    const second = await orders.order(userId, { sku, quantity: 8 });
    await orders.deliver(registered());
    await orders.until(first.id, 'confirmed');
    const { history } = await orders.until(second.id, 'cancelled');
    expect(history.at(-1)).toMatchObject({ reason: `out of stock: ${sku}` });
    expect(await orders.stock(sku)).toMatchObject({ onHand: 2, reserved: 0 });
  });

  it('cancels an order of which nothing at all is left, however long it is', async () => {
    const skus = Array.from({ length: MAX_LINES }, () => `${randomUUID()}${'x'.repeat(28)}`);
    const teapot = { name: 'Teapot', priceMinor: 1_250, currency: 'EUR' };
    await Promise.all(skus.map((each) => orders.http('PUT', `/products/${each}`, teapot)));
    const { id } = await orders.order(userId, ...skus.map((each) => ({ sku: each, quantity: 1 })));
    await orders.deliver(registered());
    const { history } = await orders.until(id, 'cancelled');
    expect(history.at(-1)!.reason).toMatch(/^out of stock: .* and 95 more$/);
    expect(await orders.http('GET', `/customers/${userId}`)).toMatchObject({ body: { status: 'active' } });
  });

  it('leaves none behind that is ordered while the registration arrives', async () => {
    const users = Array.from({ length: 20 }, () => randomUUID());
    const many = await orders.product(1_000);
    const registrations = users.map(
      (user) => new UserRegistered({ userId: user, name: 'Bob', email: 'bob@example.com' }),
    );
    await Promise.all([
      ...users.map((user) => orders.order(user, { sku: many, quantity: 1 })),
      ...registrations.map((event) => orders.deliver(event)),
    ]);
    await eventually(async () => expect(await orders.stock(many)).toMatchObject({ onHand: 980, reserved: 0 }));
    const open = `select from orders where user_id = any($1) and status <> 'confirmed'`;
    expect(await orders.rows(open, users)).toEqual([]);
  });

  it('adds up what the customers of one batch have ordered of one product', async () => {
    const many = await orders.product(1_000);
    const users = Array.from({ length: 30 }, () => randomUUID());
    for (const user of users) await orders.order(user, { sku: many, quantity: 3 });
    const events = users.map((user) => new UserRegistered({ userId: user, name: 'Bob', email: 'bob@example.com' }));
    await orders.deliverBatch(events.map((event) => orders.envelope(event)));
    await eventually(async () => expect(await orders.stock(many)).toMatchObject({ onHand: 910, reserved: 0 }));
  });
});
