import { UserTierChanged } from '@app/contracts';
import { eventually } from '@app/testing';
import { startOrders, type OrdersFixture } from '../orders.fixture.js';

describe('ChangeDiscountOnUserTierChanged', () => {
  let orders: OrdersFixture;
  beforeAll(async () => (orders = await startOrders()));
  afterAll(() => orders?.stop());

  it('holds from the next order on', async () => {
    const [userId, sku] = [await orders.customer(), await orders.product()];
    const before = await orders.order(userId, { sku, quantity: 2 });
    await orders.deliver(new UserTierChanged({ userId, from: 'standard', to: 'silver', points: 1_020 }));
    await orders.deliver(new UserTierChanged({ userId, from: 'silver', to: 'gold', points: 5_020 }), { twice: true });
    await eventually(async () =>
      expect(await orders.http('GET', `/customers/${userId}`)).toMatchObject({ body: { tier: 'gold' } }),
    );
    expect(await orders.read(before.id)).toEqual(before);
    expect(await orders.order(userId, { sku, quantity: 2 })).toMatchObject({ discountMinor: 250, totalMinor: 2_250 });
  });
});
