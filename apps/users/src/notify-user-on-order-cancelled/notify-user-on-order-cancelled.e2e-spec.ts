import { randomUUID } from 'node:crypto';
import { OrderCancelled } from '@app/contracts';
import { eventually, startTestService, type TestService } from '@app/testing';
import { UsersModule } from '../users.module.js';

describe('NotifyUserOnOrderCancelled', () => {
  let users: TestService;
  let userId: string;
  beforeAll(async () => {
    users = await startTestService(UsersModule, 'users');
    const { body } = await users.http('POST', '/users', { name: 'Alice', email: 'alice@example.com' });
    userId = (body as { id: string }).id;
  });
  afterAll(() => users?.stop());

  const event = (of = userId, orderId = randomUUID()) =>
    new OrderCancelled({ ...OrderCancelled.example, userId: of, orderId });
  const notified = (...orders: string[]) =>
    users.rows('select user_id, kind, text from notifications where order_id = any($1)', orders);
  const once = { kind: 'order-cancelled', text: 'Your order is cancelled: payment declined' };

  it('tells the user once, however often it is delivered', async () => {
    const heard = event();
    const { id } = await users.deliver(heard, { twice: true });
    await users.deliver(heard, { sequence: 1, id });
    const last = event();
    await users.deliver(last);
    await eventually(async () => expect(await notified(last.orderId)).toHaveLength(1));
    expect(await notified(heard.orderId)).toEqual([{ user_id: userId, ...once }]);
  });

  it('tells what came in one batch', async () => {
    const heard = Array.from({ length: 100 }, () => event());
    await users.deliverBatch(heard.map((one) => users.envelope(one)));
    await eventually(async () =>
      expect(await notified(...heard.map(({ orderId }) => orderId))).toEqual(
        Array(100).fill({ user_id: userId, ...once }),
      ),
    );
  });

  it('ignores a user that there is not', async () => {
    const stranger = event(randomUUID());
    await users.deliver(stranger);
    const last = event();
    await users.deliver(last);
    await eventually(async () => expect(await notified(last.orderId)).toHaveLength(1));
    expect(await notified(stranger.orderId)).toEqual([]);
    expect(await users.rows('select state, error from messaging.parked_events')).toEqual([]);
  });
});
