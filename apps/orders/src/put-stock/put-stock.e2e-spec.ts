import { startOrders, type OrdersFixture } from '../orders.fixture.js';

describe('PUT /products/:sku/stock', () => {
  let orders: OrdersFixture;
  let sku: string;
  beforeAll(async () => (orders = await startOrders()));
  afterAll(() => orders?.stop());
  beforeEach(async () => {
    sku = await orders.product(0);
  });

  const put = (onHand: unknown, headers?: Record<string, string>) =>
    orders.http('PUT', `/products/${sku}/stock`, { onHand }, headers);

  it('sets how much there is, and tells when a product becomes scarce, sold out or plentiful', async () => {
    for (const onHand of [6, 7, 5, 4, 0, 0, 100]) {
      expect(await put(onHand)).toMatchObject({ status: 200, body: { stock: { onHand, available: onHand } } });
    }
    expect(await orders.told(sku)).toEqual(
      [
        { previous: 'out-of-stock', status: 'in-stock', available: 6 },
        { previous: 'in-stock', status: 'low-stock', available: 5 },
        { previous: 'low-stock', status: 'out-of-stock', available: 0 },
        { previous: 'out-of-stock', status: 'in-stock', available: 100 },
      ].map((data) => ({ fact: 'inventory.status-changed', data: { sku, ...data } })),
    );
  });

  it('answers 409 below what is promised', async () => {
    await put(10);
    await orders.order(await orders.customer(), { sku, quantity: 4 });
    expect(await put(3)).toMatchObject({ status: 409, body: { errors: [{ pointer: '#/onHand' }] } });
    expect(await put(4)).toMatchObject({
      status: 200,
      body: { stock: { onHand: 4, reserved: 4, available: 0, status: 'out-of-stock' } },
    });
  });

  it('honours If-Match: nobody overwrites what they have not seen', async () => {
    const etag = (await orders.http('GET', `/products/${sku}`)).headers.get('etag')!;
    const answers = await Promise.all([put(1, { 'if-match': etag }), put(2, { 'if-match': etag })]);
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 412]);
    const winner = answers.find(({ status }) => status === 200)!;
    expect(await put(3, { 'if-match': winner.headers.get('etag')! })).toMatchObject({ status: 200 });
    await orders.order(await orders.customer(), { sku, quantity: 1 });
    expect(await put(4, { 'if-match': '"4"' })).toMatchObject({ status: 412 }); // sold meanwhile
  });

  it('neither loses a sale nor sells twice while the stock is counted', async () => {
    await put(10);
    const userId = await orders.customer();
    const buy = () => orders.http('POST', '/orders', { userId, lines: [{ sku, quantity: 1 }] });
    const answers = await Promise.all([...Array.from({ length: 15 }, buy), put(5), put(8)]);
    const sold = answers.slice(0, 15).filter(({ status }) => status === 202).length;
    const { onHand, reserved, available } = await orders.stock(sku);
    expect([reserved, available]).toEqual([sold, onHand - sold]);
    expect(available).toBeGreaterThanOrEqual(0);
  });

  it('is guarded by the database: more cannot be promised than there is', async () => {
    const oversell = orders.database.query('update products set reserved = on_hand + 1 where sku = $1', [sku]);
    await expect(oversell).rejects.toMatchObject({ constraint: 'products_available' });
  });

  it.each([-1, 1.5, '1', null, 1_000_000_001])('answers 400 to %j', async (onHand) => {
    expect(await put(onHand)).toMatchObject({ status: 400, body: { errors: [{ pointer: '#/onHand' }] } });
  });

  it('answers 404 to an unknown product', async () => {
    expect(await orders.http('PUT', '/products/unheard-of/stock', { onHand: 1 })).toMatchObject({ status: 404 });
  });
});
