import { startOrdersAndSandbox, type OrdersFixture, type Sandbox } from '../orders.fixture.js';

describe('the order process, with the provider', () => {
  let orders: OrdersFixture & { sandbox: Sandbox };
  beforeAll(async () => (orders = await startOrdersAndSandbox()));
  afterAll(() => orders?.stop());

  it('confirms an order that is paid for; its goods leave the stock', async () => {
    const [userId, sku] = [await orders.customer(), await orders.product(10)];
    const { id } = await orders.order(userId, { sku, quantity: 2 });
    const order = await orders.until(id, 'confirmed');
    expect(order).toMatchObject({ totalMinor: 2_500, discountMinor: 0, currency: 'EUR', userId });
  });
});
