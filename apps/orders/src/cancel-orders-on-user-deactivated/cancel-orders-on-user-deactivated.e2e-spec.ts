import { UserDeactivated } from '@app/contracts';
import { eventually } from '@app/testing';
import { startOrders, type OrdersFixture } from '../orders.fixture.js';

describe('CancelOrdersOnUserDeactivated', () => {
  let orders: OrdersFixture;
  beforeAll(async () => (orders = await startOrders()));
  afterAll(() => orders?.stop());

  const customerIs = (userId: string, status: string) =>
    eventually(async () =>
      expect(await orders.http('GET', `/customers/${userId}`)).toMatchObject({ body: { userId, status } }),
    );

  it('cancels the open orders of the customer, and nobody else’s; the goods are free again', async () => {
    const [userId, other, sku] = [await orders.customer(), await orders.customer(), await orders.product(10)];
    const [one, two] = [
      await orders.order(userId, { sku, quantity: 3 }),
      await orders.order(userId, { sku, quantity: 4 }),
    ];
    const others = await orders.order(other, { sku, quantity: 2 });
    await orders.deliver(new UserDeactivated({ userId, reason: 'Moved away' }), { twice: true });
    await orders.until(two.id, 'cancelled');
    expect((await orders.until(one.id, 'cancelled')).history.at(-1)).toMatchObject({
      reason: 'the account was closed',
    });
    expect((await orders.told(one.id)).map(({ fact }) => fact)).toEqual(['order.placed', 'order.cancelled']);
    expect(await orders.read(others.id)).toMatchObject({ status: 'awaiting-payment' });
    expect(await orders.stock(sku)).toMatchObject({ onHand: 10, reserved: 2 });
    await customerIs(userId, 'deactivated');
  });

  it('leaves no order open that is placed while the account is closed', async () => {
    const [userId, sku] = [await orders.customer(), await orders.product(1_000)];
    const order = () => orders.http('POST', '/orders', { userId, lines: [{ sku, quantity: 1 }] });
    const [answers] = await Promise.all([
      Promise.all(Array.from({ length: 30 }, order)),
      orders.deliver(new UserDeactivated({ userId })),
    ]);
    await customerIs(userId, 'deactivated');
    expect((await order()).status).toBe(422);
    for (const { status } of answers) expect([202, 422]).toContain(status);
    expect(await orders.rows(`select from orders where user_id = $1 and status <> 'cancelled'`, userId)).toEqual([]);
    expect(await orders.stock(sku)).toMatchObject({ onHand: 1_000, reserved: 0 });
  });

  it('and cancellations by hand cancel each order once', async () => {
    const [userId, sku] = [await orders.customer(), await orders.product(1_000)];
    const placed = await Promise.all(Array.from({ length: 10 }, () => orders.order(userId, { sku, quantity: 2 })));
    const [answers] = await Promise.all([
      Promise.all(placed.map(({ id }) => orders.http('POST', `/orders/${id}/cancel`))),
      orders.deliver(new UserDeactivated({ userId })),
    ]);
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([202]));
    await customerIs(userId, 'deactivated');
    for (const { id } of placed) {
      expect((await orders.told(id)).map(({ fact }) => fact)).toEqual(['order.placed', 'order.cancelled']);
    }
    expect(await orders.stock(sku)).toMatchObject({ onHand: 1_000, reserved: 0 });
  });
});
