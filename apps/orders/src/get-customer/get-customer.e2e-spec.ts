import { UserRegistered } from '@app/contracts';
import { eventually, type TestService } from '@app/testing';
import { startOrders } from '../orders.fixture.js';

describe('GET /customers/:userId', () => {
  const userId = '0199d2c4-7b1e-7c3a-9f60-2b8f1f4f2a11';
  let orders: TestService;
  beforeAll(async () => (orders = await startOrders()));
  afterAll(() => orders?.stop());

  it('answers 404 until the user is known here, then shows what is known', async () => {
    const { status, headers, body } = await orders.http('GET', `/customers/${userId}`);
    expect(status).toBe(404);
    expect(headers.get('content-type')).toMatch('application/problem+json');
    expect(body).toMatchObject({ detail: `No customer ${userId} is known here (yet).` });

    await orders.deliver(new UserRegistered({ userId, name: 'Alice', email: 'alice@example.com' }));
    await eventually(async () => {
      const answer = await orders.http('GET', `/customers/${userId}`);
      expect(answer).toMatchObject({ status: 200 });
      expect(answer.body).toEqual({
        userId,
        status: 'active',
        tier: 'standard',
        name: 'Alice',
        email: 'alice@example.com',
        knownSince: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
      });
    });
    expect(await orders.http('GET', `/customers/${userId.toUpperCase()}`)).toMatchObject({ status: 200 });
  });

  it.each(['not-a-uuid', '1', "' or true--"])('answers 400 for %s, which is no id', async (id) => {
    const { status, body } = await orders.http('GET', `/customers/${encodeURIComponent(id)}`);
    expect(status).toBe(400);
    expect(body).toMatchObject({ errors: [{ parameter: 'userId' }] });
  });
});
