import { UserProfileChanged } from '@app/contracts';
import { eventually } from '@app/testing';
import { startOrders, type OrdersFixture } from '../orders.fixture.js';

describe('ChangeCustomerOnUserProfileChanged', () => {
  let orders: OrdersFixture;
  beforeAll(async () => (orders = await startOrders()));
  afterAll(() => orders?.stop());

  it('keeps name and e-mail address as they are now', async () => {
    const [userId, other] = [await orders.customer(), await orders.customer()];
    for (const name of ['Alice Liddell', 'Alice Hargreaves']) {
      await orders.deliver(new UserProfileChanged({ userId, name, email: 'hargreaves@example.com' }), { twice: true });
    }
    await eventually(async () =>
      expect(await orders.http('GET', `/customers/${userId}`)).toMatchObject({
        body: { name: 'Alice Hargreaves', email: 'hargreaves@example.com', status: 'active' },
      }),
    );
    expect(await orders.http('GET', `/customers/${other}`)).toMatchObject({ body: { name: 'Alice' } });
  });
});
