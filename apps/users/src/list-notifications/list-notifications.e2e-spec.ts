import { randomUUID } from 'node:crypto';
import { OrderCancelled, OrderConfirmed, OrderPlaced } from '@app/contracts';
import { eventually, startTestService, type TestService } from '@app/testing';
import { UsersModule } from '../users.module.js';

interface NotificationsPage {
  items: { id: string; kind: string; orderId: string; text: string; at: string }[];
  nextCursor: string | null;
}

describe('GET /users/:id/notifications', () => {
  let users: TestService;
  beforeAll(async () => (users = await startTestService(UsersModule, 'users')));
  afterAll(() => users?.stop());

  const register = async () => {
    const { body } = await users.http('POST', '/users', { name: 'Alice', email: `${randomUUID()}@example.com` });
    return (body as { id: string }).id;
  };
  const list = async (userId: string, query = '') =>
    (await users.http('GET', `/users/${userId}/notifications${query}`)) as { status: number; body: NotificationsPage };

  it('is empty until something happens', async () => {
    expect(await list(await register())).toMatchObject({ status: 200, body: { items: [], nextCursor: null } });
  });

  it('tells what happened to the orders of this user, newest first', async () => {
    const [userId, orderId, otherOrderId] = [await register(), randomUUID(), randomUUID()];
    await users.deliver(new OrderPlaced({ ...OrderPlaced.example, userId, orderId }));
    await users.deliver(new OrderPlaced({ ...OrderPlaced.example, userId: await register() }));
    await users.deliver(new OrderConfirmed({ ...OrderConfirmed.example, userId, orderId }));
    await users.deliver(new OrderCancelled({ ...OrderCancelled.example, userId, orderId: otherOrderId }));
    await eventually(async () => expect((await list(userId)).body.items).toHaveLength(3));
    const [id, at] = [expect.stringMatching(/^\d+$/), expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/)];
    expect((await list(userId)).body).toEqual({
      items: [
        { id, at, kind: 'order-cancelled', orderId: otherOrderId, text: 'Your order is cancelled: payment declined' },
        { id, at, kind: 'order-confirmed', orderId, text: 'Your order is confirmed; you paid €23.75.' },
        { id, at, kind: 'order-placed', orderId, text: 'Your order is placed; it comes to €23.75.' },
      ],
      nextCursor: null,
    });
  });

  it('goes on from page to page', async () => {
    const userId = await register();
    const texts = Array.from({ length: 5 }, (_, n) => `n${n}`);
    await users.database.query(
      `insert into notifications (user_id, order_id, kind, text) select $1, gen_random_uuid(), 'order-placed', unnest($2::text[])`,
      [userId, texts],
    );
    const seen: string[] = [];
    for (let cursor: string | null = ''; cursor !== null;) {
      const { body }: { body: NotificationsPage } = await list(userId, `?limit=2${cursor && `&cursor=${cursor}`}`);
      seen.push(...body.items.map(({ text }) => text));
      cursor = body.nextCursor;
    }
    expect(seen).toEqual(texts.reverse());
  });

  it('answers 404 for a user that there is not, and 400 for what makes no sense', async () => {
    const nobody = randomUUID();
    expect(await list(nobody)).toMatchObject({ status: 404, body: { detail: `There is no user ${nobody}.` } });
    expect(await list('nobody')).toMatchObject({ status: 400, body: { errors: [{ parameter: 'id' }] } });
    expect(await list(nobody, '?limit=0')).toMatchObject({ status: 400, body: { errors: [{ parameter: 'limit' }] } });
    for (const position of ['', 'x', '-1', '9'.repeat(19)]) {
      const cursor = Buffer.from(position).toString('base64url');
      expect(await list(nobody, `?cursor=${cursor}`)).toMatchObject({
        status: 400,
        body: { errors: [{ parameter: 'cursor' }] },
      });
    }
  });
});
