import { randomUUID } from 'node:crypto';
import type { OrderView } from '../order-view.js';
import { startOrders, type OrdersFixture } from '../orders.fixture.js';

describe('GET /orders', () => {
  let orders: OrdersFixture;
  let userId: string;
  let placed: OrderView[];
  beforeAll(async () => {
    orders = await startOrders();
    const sku = await orders.product();
    userId = await orders.customer();
    placed = [];
    for (const user of [userId, userId, userId, randomUUID()])
      placed.push(await orders.order(user, { sku, quantity: 1 }));
    await orders.http('POST', `/orders/${placed[1]!.id}/cancel`);
  });
  afterAll(() => orders?.stop());

  const list = async (query = '') => {
    const { status, body } = await orders.http('GET', `/orders${query}`);
    return { status, ...(body as { items: OrderView[]; nextCursor: string | null }) };
  };
  const numbersOf = (items: OrderView[]) => items.map(({ id }) => placed.findIndex((order) => order.id === id));

  it('shows orders as GET /orders/:id does, the newest first', async () => {
    const { status, items, nextCursor } = await list();
    expect([status, nextCursor]).toEqual([200, null]);
    expect(items).toEqual(await Promise.all([...placed].reverse().map(({ id }) => orders.read(id))));
  });

  it('shows those of a user, or in a state', async () => {
    expect(numbersOf((await list(`?userId=${userId}`)).items)).toEqual([2, 1, 0]);
    expect(numbersOf((await list('?status=awaiting-customer')).items)).toEqual([3]);
    expect(numbersOf((await list(`?userId=${userId.toUpperCase()}&status=cancelled`)).items)).toEqual([1]);
    expect((await list(`?userId=${randomUUID()}`)).items).toEqual([]);
  });

  it('pages', async () => {
    const first = await list('?limit=3');
    expect(numbersOf(first.items)).toEqual([3, 2, 1]);
    const second = await list(`?limit=3&cursor=${first.nextCursor}`);
    expect(numbersOf(second.items)).toEqual([0]);
    expect(second.nextCursor).toBeNull();
  });

  it.each(['userId=1', 'status=lost', 'limit=0', 'cursor=x', 'page=2'])('answers 400 to ?%s', async (query) => {
    expect(await list(`?${query}`)).toMatchObject({ status: 400, errors: [{ parameter: query.split('=')[0] }] });
  });

  it('answers 404 to an unknown order', async () => {
    expect(await orders.http('GET', `/orders/${randomUUID()}`)).toMatchObject({ status: 404 });
  });
});
