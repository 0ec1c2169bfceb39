// However the orders of a few users arrive – at once, twice, late, in any order, in batches – and whatever the users do meanwhile:
// the points are the sum of what was paid, which is counted here.
import { randomUUID } from 'node:crypto';
import { OrderCancelled, OrderConfirmed, OrderPlaced } from '@app/contracts';
import { eventually, startTestService, type TestEnvelope, type TestService } from '@app/testing';
import fc from 'fast-check';
import { UsersModule } from '../users.module.js';
import type { UserView } from '../user-rows.js';

const USERS = 3;
const runs = Number(process.env.PROPERTY_RUNS ?? 8);
const seed = Number(process.env.PROPERTY_SEED ?? Date.now() % 1_000_000_000);

const order = fc.record({
  user: fc.nat(USERS - 1),
  totalMinor: fc.oneof(fc.integer({ min: 1, max: 400 }), fc.integer({ min: 1, max: 200_000 })),
  end: fc.constantFrom('confirmed', 'confirmed', 'confirmed', 'cancelled'),
});
const day = fc.record({
  orders: fc.array(order, { minLength: 5, maxLength: 40 }),
  /** Where in the stream of deliveries each one goes; some go twice. */
  shuffle: fc.array(fc.nat(), { minLength: 120, maxLength: 120 }),
  batchSizes: fc.array(fc.integer({ min: 1, max: 8 }), { minLength: 1, maxLength: 5 }),
  renames: fc.array(fc.nat(USERS - 1), { maxLength: 10 }),
  leaves: fc.option(fc.nat(USERS - 1)),
});
type Day = typeof day extends fc.Arbitrary<infer T> ? T : never;

describe('the membership', () => {
  let users: TestService;
  beforeAll(async () => (users = await startTestService(UsersModule, 'users')), 60_000);
  afterAll(() => users?.stop());

  it(
    `is the sum of what was paid (PROPERTY_SEED=${seed} PROPERTY_RUNS=${runs} repeats it)`,
    () => fc.assert(fc.asyncProperty(day, live), { seed, numRuns: runs, endOnFailure: true }), // races do not shrink
    runs * 30_000,
  );

  async function live({ orders, shuffle, batchSizes, renames, leaves }: Day): Promise<void> {
    const ids = await Promise.all(
      Array.from({ length: USERS }, async () => {
        const { body } = await users.http('POST', '/users', { name: 'Alice', email: `${randomUUID()}@example.com` });
        return (body as { id: string }).id;
      }),
    );
    const envelopes = orders.flatMap(({ user, totalMinor, end }) => {
      const [orderId, userId, currency] = [randomUUID(), ids[user]!, 'EUR'];
      const lines = [{ sku: 'teapot', quantity: 1, unitPriceMinor: totalMinor }];
      return [
        new OrderPlaced({ orderId, userId, lines, discountMinor: 0, totalMinor, currency }),
        end === 'confirmed'
          ? new OrderConfirmed({ orderId, userId, totalMinor, currency })
          : new OrderCancelled({ orderId, userId, reason: 'not paid in time' }),
      ].map((event) => users.envelope(event));
    });
    const again = envelopes.filter((_, n) => shuffle[n]! % 3 === 0);
    const inSomeOrder = [...envelopes, ...again]
      .map((envelope, n) => ({ envelope, key: shuffle[n % shuffle.length]! }))
      .sort((one, other) => one.key - other.key)
      .map(({ envelope }) => envelope);
    await Promise.all([
      deliver(inSomeOrder, batchSizes),
      ...renames.map((user, n) => users.http('PATCH', `/users/${ids[user]}`, { name: `Alice ${n}` })),
      leaves === null ? undefined : users.http('POST', `/users/${ids[leaves]}/deactivate`, {}),
    ]);
    await eventually(
      async () => {
        expect(await users.rows('select id from messaging.parked_events')).toEqual([]);
        const sql = 'select count(*)::int as told from notifications where user_id = any($1)';
        expect(await users.rows(sql, ids)).toEqual([{ told: envelopes.length }]);
      },
      { timeoutMs: 25_000, intervalMs: 100 },
    );
    for (const [n, id] of ids.entries())
      await balance(
        id,
        orders.filter(({ user }) => user === n),
      );
  }

  /** Events of one type may travel together. */
  async function deliver(envelopes: readonly TestEnvelope[], batchSizes: readonly number[]): Promise<void> {
    for (let from = 0, n = 0; from < envelopes.length; n++) {
      const { type } = envelopes[from]!;
      let to = from + 1;
      while (to < envelopes.length && to - from < batchSizes[n % batchSizes.length]! && envelopes[to]!.type === type)
        to++;
      await users.deliverBatch(envelopes.slice(from, to));
      from = to;
    }
  }

  async function balance(id: string, orders: Day['orders']): Promise<void> {
    const points = orders
      .filter(({ end }) => end === 'confirmed')
      .reduce((sum, { totalMinor }) => sum + Math.floor(totalMinor / 100), 0);
    const tier = points >= 5_000 ? 'gold' : points >= 1_000 ? 'silver' : 'standard';
    const { body } = await users.http('GET', `/users/${id}`);
    expect((body as UserView).membership).toEqual({ points, tier });
    const told = (await users.sentBy()).filter(({ subject, type }) => subject === id && type.includes('tier-changed'));
    const steps = told.map(({ data }) => [data.from, data.to]);
    expect(['standard', ...steps.map(([, to]) => to)]).toEqual([...steps.map(([from]) => from), tier]);
  }
});
