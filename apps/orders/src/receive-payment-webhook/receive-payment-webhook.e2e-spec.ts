import { eventually } from '@app/testing';
import { startOrdersAndSandbox, type OrdersFixture, type Sandbox } from '../orders.fixture.js';

describe('an order, its payment and the provider', () => {
  let orders: OrdersFixture & { sandbox: Sandbox };
  let userId: string;
  let sku: string;
  beforeAll(async () => (orders = await startOrdersAndSandbox()));
  afterAll(() => orders?.stop());
  beforeEach(async () => {
    [userId, sku] = [await orders.customer(), await orders.product(10)];
  });

  /** Orders two teapots while the provider is in this mode for the customer. */
  const orderIn = async (mode: string, afterMs?: number) => {
    await orders.sandbox.mode(userId, mode, afterMs);
    return orders.order(userId, { sku, quantity: 2 });
  };
  const factsOf = async (subject: string) => (await orders.told(subject)).map(({ fact }) => fact);
  const cancel = (id: string) => orders.http('POST', `/orders/${id}/cancel`);
  const paymentIs = (orderId: string, status: string) =>
    eventually(async () => {
      const payment = await orders.payment(orderId);
      expect(payment).toMatchObject({ status });
      return payment;
    });
  const captured = async (orderId: string) => {
    const payments = (await orders.sandbox.payments()).filter((payment) => payment.orderId === orderId);
    return payments.map(({ capturedMinor, refundedMinor }) => capturedMinor - refundedMinor);
  };
  /** The provider has been asked; its report may follow soon. */
  const asked = (orderId: string) =>
    eventually(async () => expect(await captured(orderId)).toEqual([0]), { intervalMs: 10 });

  it('approved: confirmed; the goods leave the stock, and everything is told once', async () => {
    const { id } = await orderIn('approve');
    const order = await orders.until(id, 'confirmed');
    expect(order.history.map(({ status }) => status)).toEqual(['placed', 'awaiting-payment', 'confirmed']);
    expect(await orders.stock(sku)).toMatchObject({ onHand: 8, reserved: 0, available: 8 });
    const money = { totalMinor: 2_500, currency: 'EUR' };
    expect(await orders.told(id)).toEqual([
      {
        fact: 'order.placed',
        data: { orderId: id, userId, lines: [{ sku, quantity: 2, unitPriceMinor: 1_250 }], discountMinor: 0, ...money },
      },
      { fact: 'order.confirmed', data: { orderId: id, userId, ...money } },
    ]);
    const { id: paymentId } = await orders.payment(id);
    const providerReference = expect.stringMatching(/^pay_/) as string;
    const paid = { orderId: id, userId, amountMinor: 2_500, currency: 'EUR', provider: 'sandbox', providerReference };
    expect(await orders.told(paymentId)).toEqual([{ fact: 'payment.completed', data: { paymentId, ...paid } }]);
    expect(await captured(id)).toEqual([2_500]);
    expect(await orders.rows('select from messaging.timers where key like $1', `%${id}`)).toEqual([]);
    expect(await cancel(id)).toMatchObject({ status: 409 });
  });

  it('declined: cancelled with the reason; the goods are free again', async () => {
    const { id } = await orderIn('decline');
    const { history } = await orders.until(id, 'cancelled');
    expect(history.at(-1)).toMatchObject({ status: 'cancelled', reason: 'payment failed: card declined' });
    expect(await orders.stock(sku)).toMatchObject({ onHand: 10, reserved: 0 });
    const { id: paymentId } = await paymentIs(id, 'failed');
    expect(await orders.told(paymentId)).toMatchObject([
      { fact: 'payment.failed', data: { reason: 'card declined', providerReference: expect.any(String) } },
    ]);
    expect(await factsOf(id)).toEqual(['order.placed', 'order.cancelled']);
  });

  it('reported twice at the same time: confirmed once', async () => {
    const { id } = await orderIn('duplicate');
    await orders.until(id, 'confirmed');
    expect(await factsOf(id)).toEqual(['order.placed', 'order.confirmed']);
    expect(await orders.stock(sku)).toMatchObject({ onHand: 8, reserved: 0 });
    expect(await factsOf((await orders.payment(id)).id)).toEqual(['payment.completed']);
  });

  it('paid late, but not too late: waits, then confirmed', async () => {
    const { id } = await orderIn('late', 600);
    await asked(id);
    expect(await orders.read(id)).toMatchObject({ status: 'awaiting-payment' });
    await orders.until(id, 'confirmed');
    expect(await captured(id)).toEqual([2_500]);
  });

  it('never paid: open until its deadline, with its goods reserved', async () => {
    const { id } = await orderIn('timeout');
    await eventually(async () => expect(await captured(id)).toEqual([0]));
    expect(await orders.read(id)).toMatchObject({ status: 'awaiting-payment' });
    expect(await orders.stock(sku)).toMatchObject({ onHand: 10, reserved: 2 });
    expect(await orders.rows('select from messaging.timers where key like $1', `%${id}`)).toHaveLength(1);
  });

  it('paid after it was cancelled: refunded, and told', async () => {
    const { id } = await orderIn('late', 500);
    await asked(id);
    expect(await cancel(id)).toMatchObject({ status: 202, body: { status: 'cancelled' } });
    const { id: paymentId } = await paymentIs(id, 'refunded');
    expect(await orders.told(paymentId)).toMatchObject([
      { fact: 'payment.completed', data: { amountMinor: 2_500 } },
      { fact: 'payment.refunded', data: { amountMinor: 2_500, reason: 'paid after the order was cancelled' } },
    ]);
    expect(await captured(id)).toEqual([0]);
    expect(await orders.read(id)).toMatchObject({ status: 'cancelled' });
    expect(await orders.stock(sku)).toMatchObject({ onHand: 10, reserved: 0 });
    expect(await orders.rows('select from payment_requests where payment_id = $1', paymentId)).toEqual([]);
  });

  it('paid with another amount: held and reported, not confirmed', async () => {
    const { id } = await orderIn('wrong-amount');
    await eventually(async () => expect((await orders.payment(id)).held).toMatch('2501 EUR instead of 2500 EUR'));
    expect(await orders.read(id)).toMatchObject({ status: 'awaiting-payment' });
    const { id: paymentId } = await orders.payment(id);
    expect(await orders.told(paymentId)).toEqual([]);
    expect((await orders.http('GET', '/metrics')).body).toMatch(/^payments_held 1$/m);
    await orders.database.query('update payments set held = null where id = $1', [paymentId]); // somebody has looked
    expect((await orders.http('GET', '/metrics')).body).toMatch(/^payments_held 0$/m);
  });

  it('cancelled and paid at the same moment: either confirmed, or cancelled and refunded', async () => {
    const ids = await Promise.all(Array.from({ length: 5 }, async () => (await orderIn('late', 300)).id));
    await new Promise((resolve) => setTimeout(resolve, 330));
    await Promise.all(ids.map(cancel));
    for (const id of ids) {
      const { status } = await orders.read(id);
      if (status === 'cancelled') await paymentIs(id, 'refunded');
      else await paymentIs(id, 'completed');
      const kept = (await captured(id)).reduce((sum, amount) => sum + amount, 0);
      expect([status, kept]).toEqual([status, status === 'confirmed' ? 2_500 : 0]);
    }
    const confirmed = (await Promise.all(ids.map(orders.read))).filter(({ status }) => status === 'confirmed');
    expect(await orders.stock(sku)).toMatchObject({ onHand: 10 - 2 * confirmed.length, reserved: 0 });
  });
});
