import { startOrders, type OrdersFixture } from '../orders.fixture.js';

describe('products', () => {
  let orders: OrdersFixture;
  beforeAll(async () => (orders = await startOrders()));
  afterAll(() => orders?.stop());

  const offer = { name: 'Teapot', priceMinor: 1_250, currency: 'EUR' };
  const put = (sku: string, body: unknown = offer) => orders.http('PUT', `/products/${sku}`, body);
  const nothing = { onHand: 0, reserved: 0, available: 0, status: 'out-of-stock' };

  it('PUT offers a product, and changes the offer', async () => {
    const created = await put('teapot');
    expect(created).toMatchObject({ status: 201 });
    expect(created.headers.get('location')).toBe('/products/teapot');
    expect(created.headers.get('etag')).toBe('"1"');
    expect(created.body).toEqual({ sku: 'teapot', ...offer, stock: nothing, version: 1 });
    const changed = await put('teapot', { ...offer, priceMinor: 1_300 });
    expect(changed).toMatchObject({ status: 200, body: { priceMinor: 1_300, version: 2 } });
    expect(changed.headers.get('location')).toBeNull();
    expect(await orders.http('GET', '/products/teapot')).toMatchObject({ status: 200, body: changed.body });
    expect(await orders.sentBy()).toEqual([]);
  });

  it('PUT creates once, however many do at the same time', async () => {
    const answers = await Promise.all(Array.from({ length: 8 }, () => put('kettle')));
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 200, 200, 200, 200, 200, 200, 201]);
  });

  it.each<[string, string, unknown, object]>([
    ['a price of nothing', 'cup', { ...offer, priceMinor: 0 }, { pointer: '#/priceMinor' }],
    ['a price in full units', 'cup', { ...offer, priceMinor: 12.5 }, { pointer: '#/priceMinor' }],
    ['a currency that is none', 'cup', { ...offer, currency: 'euro' }, { pointer: '#/currency' }],
    ['no name', 'cup', { ...offer, name: ' ' }, { pointer: '#/name' }],
    ['a stock', 'cup', { ...offer, onHand: 1 }, { pointer: '#/onHand' }],
    ['a SKU with a blank', 'tea%20cup', offer, { parameter: 'sku' }],
  ])('PUT answers 400 to %s', async (_, sku, body, error) => {
    expect(await put(sku, body)).toMatchObject({ status: 400, body: { errors: [error] } });
  });

  it('GET lists them by SKU, page by page', async () => {
    for (const sku of ['a1', 'a2', 'a3']) await put(sku);
    const all: string[] = [];
    let cursor: string | null = '';
    while (cursor !== null) {
      const query: string = cursor && `&cursor=${cursor}`;
      const { status, body } = await orders.http('GET', `/products?limit=2${query}`);
      expect(status).toBe(200);
      const page = body as { items: { sku: string; stock: object }[]; nextCursor: string | null };
      expect(page.items[0]).toMatchObject({ name: 'Teapot', stock: nothing });
      all.push(...page.items.map(({ sku }) => sku));
      cursor = page.nextCursor;
    }
    expect(all).toEqual(['a1', 'a2', 'a3', 'kettle', 'teapot']);
    expect(await orders.http('GET', '/products?cursor=x')).toMatchObject({ status: 400 });
  });

  it('GET answers 404 to an unknown one', async () => {
    expect(await orders.http('GET', '/products/unheard-of')).toMatchObject({ status: 404 });
  });
});
