import { randomUUID } from 'node:crypto';
import { startOrders, type OrdersFixture } from '../orders.fixture.js';

describe('POST /orders/:id/cancel', () => {
  let orders: OrdersFixture;
  beforeAll(async () => (orders = await startOrders()));
  afterAll(() => orders?.stop());

  const cancel = (id: string) => orders.http('POST', `/orders/${id}/cancel`);

  it('cancels once, however often it is asked; the goods are free again, and nobody is charged', async () => {
    const sku = await orders.product(10);
    const { id } = await orders.order(await orders.customer(), { sku, quantity: 4 });
    const answers = await Promise.all([cancel(id), cancel(id), cancel(id)]);
    for (const answer of [...answers, await cancel(id)]) {
      expect(answer).toMatchObject({ status: 202, body: { id, status: 'cancelled' } });
    }
    expect((await orders.read(id)).history.at(-1)).toMatchObject({ reason: 'cancelled on request' });
    expect((await orders.told(id)).map(({ fact }) => fact)).toEqual(['order.placed', 'order.cancelled']);
    expect(await orders.stock(sku)).toMatchObject({ onHand: 10, reserved: 0 });
    expect(await orders.rows('select from payment_requests')).toEqual([]);
    expect(await orders.rows('select from messaging.timers')).toEqual([]);
  });

  it('cancels an order that waits for its customer', async () => {
    const sku = await orders.product(10);
    const { id } = await orders.order(randomUUID(), { sku, quantity: 4 });
    expect(await cancel(id)).toMatchObject({ status: 202, body: { status: 'cancelled' } });
    expect(await orders.stock(sku)).toMatchObject({ onHand: 10, reserved: 0 });
    expect((await orders.told(id)).map(({ fact }) => fact)).toEqual(['order.cancelled']);
  });

  it('answers 404 to an unknown order and 400 to what is no id', async () => {
    expect(await cancel(randomUUID())).toMatchObject({ status: 404 });
    expect(await cancel('1')).toMatchObject({ status: 400 });
  });
});
