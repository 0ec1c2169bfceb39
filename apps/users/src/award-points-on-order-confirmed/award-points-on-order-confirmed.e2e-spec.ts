import { randomUUID } from 'node:crypto';
import { OrderConfirmed } from '@app/contracts';
import { eventually, startTestService, type TestService } from '@app/testing';
import { UsersModule } from '../users.module.js';

describe('AwardPointsOnOrderConfirmed', () => {
  let users: TestService;
  beforeAll(async () => (users = await startTestService(UsersModule, 'users')));
  afterAll(() => users?.stop());

  const register = async () => {
    const { body } = await users.http('POST', '/users', { name: 'Alice', email: `${randomUUID()}@example.com` });
    return (body as { id: string }).id;
  };
  const confirmed = (userId: string, totalMinor: number) =>
    new OrderConfirmed({ orderId: randomUUID(), userId, totalMinor, currency: 'EUR' });
  const get = async (userId: string) =>
    (await users.http('GET', `/users/${userId}`)).body as { membership: object; version: number };
  const hasMembership = (userId: string, points: number, tier: string) =>
    eventually(async () => expect(await get(userId)).toMatchObject({ membership: { points, tier } }));
  const tierChanges = async (userId: string) =>
    (await users.sentBy())
      .filter(({ type, subject }) => type === 'users.user.tier-changed.v1' && subject === userId)
      .map(({ data }) => data);
  const nothingIsParked = async () =>
    expect(await users.rows('select state, error from messaging.parked_events')).toEqual([]);

  it('awards a point per 100 minor units, and tells nothing while the tier stays', async () => {
    const userId = await register();
    await users.deliver(confirmed(userId, 2_375));
    await users.deliver(confirmed(userId, 199));
    await hasMembership(userId, 24, 'standard');
    expect(await get(userId)).toMatchObject({ version: 3 });
    expect(await tierChanges(userId)).toEqual([]);
  });

  it('changes nothing for an order that is too small', async () => {
    const userId = await register();
    await users.deliver(confirmed(userId, 99));
    await users.deliver(confirmed(userId, 0));
    await eventually(async () =>
      expect(await users.rows('select from notifications where user_id = $1', userId)).toHaveLength(2),
    );
    expect(await get(userId)).toMatchObject({ membership: { points: 0, tier: 'standard' }, version: 1 });
  });

  it('raises the tier at 1 000 and 5 000 points, and tells so in the same transaction', async () => {
    const userId = await register();
    await users.deliver(confirmed(userId, 99_999));
    await hasMembership(userId, 999, 'standard');
    const { id } = await users.deliver(confirmed(userId, 100));
    await hasMembership(userId, 1_000, 'silver');
    const together = `select e.causation_id from users u join messaging.events e on e.xmin = u.xmin where u.id = $1`;
    expect(await users.rows(together, userId)).toEqual([{ causation_id: id }]);
    await users.deliver(confirmed(userId, 399_999));
    await hasMembership(userId, 4_999, 'silver');
    await users.deliver(confirmed(userId, 100));
    await hasMembership(userId, 5_000, 'gold');
    expect(await tierChanges(userId)).toEqual([
      { userId, from: 'standard', to: 'silver', points: 1_000 },
      { userId, from: 'silver', to: 'gold', points: 5_000 },
    ]);
  });

  it('goes from standard to gold with one large order, in one step', async () => {
    const userId = await register();
    await users.deliver(confirmed(userId, 600_000));
    await hasMembership(userId, 6_000, 'gold');
    expect(await tierChanges(userId)).toEqual([{ userId, from: 'standard', to: 'gold', points: 6_000 }]);
  });

  it('awards once, however often it is delivered', async () => {
    const [userId, event] = [await register(), confirmed(await register(), 100_000)];
    const own = new OrderConfirmed({ ...event, userId });
    const { id } = await users.deliver(own, { twice: true });
    await users.deliver(own, { sequence: 1, id, twice: true });
    await users.deliver(confirmed(userId, 100));
    await hasMembership(userId, 1_001, 'silver');
    expect(await tierChanges(userId)).toHaveLength(1);
  });

  it('adds up all the orders of one user in one batch, and raises each tier once', async () => {
    const userId = await register();
    // 60 points each: silver with the 17th, gold with the 84th.
    const batch = Array.from({ length: 100 }, () => users.envelope(confirmed(userId, 6_050)));
    await users.deliverBatch(batch);
    await users.deliverBatch([...batch].reverse());
    await hasMembership(userId, 6_000, 'gold');
    expect(await tierChanges(userId)).toEqual([
      { userId, from: 'standard', to: 'silver', points: 1_020 },
      { userId, from: 'silver', to: 'gold', points: 5_040 },
    ]);
    expect(await get(userId)).toMatchObject({ version: 101 });
    await nothingIsParked();
  });

  it('adds up the mixed orders of several users, while they change their profiles', async () => {
    const ids = await Promise.all([register(), register(), register()]);
    const events = Array.from({ length: 150 }, (_, n) => users.envelope(confirmed(ids[n % 3]!, 10_000)));
    const deliveries = [events.slice(0, 60), events.slice(60, 61), events.slice(61)];
    const [, changes] = await Promise.all([
      Promise.all(deliveries.map((batch) => users.deliverBatch(batch))),
      Promise.all(
        ids.flatMap((id) => [1, 2, 3, 4, 5].map((n) => users.http('PATCH', `/users/${id}`, { name: `A ${n}` }))),
      ),
    ]);
    expect(changes.map(({ status }) => status)).toEqual(Array(15).fill(200));
    for (const id of ids) {
      await hasMembership(id, 5_000, 'gold');
      expect(await get(id)).toMatchObject({ version: 1 + 50 + 5 });
      expect(await tierChanges(id)).toHaveLength(2);
    }
    await nothingIsParked();
  });

  it('awards what was confirmed although the account was closed meanwhile', async () => {
    const userId = await register();
    await users.http('POST', `/users/${userId}/deactivate`);
    await users.deliver(confirmed(userId, 100));
    await hasMembership(userId, 1, 'standard');
  });

  it('ignores a user that there is not', async () => {
    const userId = await register();
    await users.deliver(confirmed(randomUUID(), 100_000));
    await users.deliver(confirmed(userId, 100));
    await hasMembership(userId, 1, 'standard');
    await nothingIsParked();
  });

  it('does not choke on the largest order that there can be', async () => {
    const userId = await register();
    await users.deliver(confirmed(userId, Number.MAX_SAFE_INTEGER));
    await hasMembership(userId, 2_147_483_647, 'gold');
    await users.deliver(confirmed(userId, Number.MAX_SAFE_INTEGER));
    await nothingIsParked();
  });
});
