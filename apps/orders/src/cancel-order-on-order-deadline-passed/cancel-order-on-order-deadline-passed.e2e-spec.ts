import { randomUUID } from 'node:crypto';
import { OrderDeadlinePassed, UserRegistered } from '@app/contracts';
import { eventually } from '@app/testing';
import { startOrdersAndSandbox, type OrdersFixture, type Sandbox } from '../orders.fixture.js';

describe('CancelOrderOnOrderDeadlinePassed', () => {
  let orders: OrdersFixture & { sandbox: Sandbox };
  let sku: string;
  beforeAll(async () => {
    const env = { PAYMENT_TIMEOUT_MS: '400', CUSTOMER_TIMEOUT_MS: '400' };
    orders = await startOrdersAndSandbox({ env });
    await orders.sandbox.mode('default', 'timeout');
  });
  afterAll(() => orders?.stop());
  beforeEach(async () => {
    sku = await orders.product(10);
  });

  it('cancels an order that is not paid for in time; the goods are free again', async () => {
    const { id } = await orders.order(await orders.customer(), { sku, quantity: 2 });
    const { history } = await orders.until(id, 'cancelled');
    expect(history.at(-1)).toMatchObject({ status: 'cancelled', reason: 'not paid in time' });
    expect(await orders.stock(sku)).toMatchObject({ onHand: 10, reserved: 0 });
    expect((await orders.told(id)).map(({ fact }) => fact)).toEqual([
      'order.placed',
      'deadline.passed',
      'order.cancelled',
    ]);
  });

  it('refunds what is paid after that', async () => {
    const userId = await orders.customer();
    await orders.sandbox.mode(userId, 'late', 900);
    const { id } = await orders.order(userId, { sku, quantity: 2 });
    await orders.until(id, 'cancelled');
    await eventually(async () => expect(await orders.payment(id)).toMatchObject({ status: 'refunded' }));
    expect((await orders.sandbox.payments()).filter(({ orderId }) => orderId === id)).toMatchObject([
      { capturedMinor: 2_500, refundedMinor: 2_500 },
    ]);
  });

  it('cancels an order whose customer stays unknown', async () => {
    const { id } = await orders.order(randomUUID(), { sku, quantity: 2 });
    const { history } = await orders.until(id, 'cancelled');
    expect(history).toMatchObject([{ status: 'awaiting-customer' }, { reason: 'the customer is not known' }]);
    expect(await orders.stock(sku)).toMatchObject({ onHand: 10, reserved: 0 });
  });

  it('leaves an order alone that no longer waits for that', async () => {
    const userId = randomUUID();
    await orders.sandbox.mode(userId, 'approve');
    const { id } = await orders.order(userId, { sku, quantity: 2 });
    await orders.deliver(new UserRegistered({ userId, name: 'Alice', email: 'alice@example.com' }));
    await orders.until(id, 'confirmed');
    for (const waitedFor of ['customer', 'payment'] as const) {
      await orders.deliver(new OrderDeadlinePassed({ orderId: id, waitedFor }), { twice: true });
    }
    await orders.deliver(new OrderDeadlinePassed({ orderId: randomUUID(), waitedFor: 'payment' }));
    await orders.customer(); // behind them in the queue
    const told = (await orders.told(id)).map(({ fact }) => fact);
    // On a busy machine one of its own deadlines may have passed in time, to be heard too late.
    expect(told.filter((fact) => fact !== 'deadline.passed')).toEqual(['order.placed', 'order.confirmed']);
    expect(await orders.read(id)).toMatchObject({ status: 'confirmed' });
    expect(await orders.rows('select from messaging.parked_events')).toEqual([]);
  });

  it('shows in /metrics what is stuck', async () => {
    const metric = async () =>
      /^orders_overdue (\d+)$/m.exec((await orders.http('GET', '/metrics')).body as string)?.[1];
    expect(await metric()).toBe('0');
    const { id } = await orders.order(randomUUID(), { sku, quantity: 2 });
    await orders.database.query('delete from messaging.timers');
    await orders.database.query(`update orders set due_at = now() - interval '61 seconds' where id = $1`, [id]);
    expect(await metric()).toBe('1');
  });
});
