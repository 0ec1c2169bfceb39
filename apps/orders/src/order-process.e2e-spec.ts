// Whatever happens at once, and however often and late it is reported: the sums are right. They are counted here, from what
// clients, users and the provider did; not one of the service's own figures is believed.
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { UserDeactivated, UserProfileChanged, UserRegistered, UserTierChanged } from '@app/contracts';
import { eventually } from '@app/testing';
import fc from 'fast-check';
import type { OrderView } from './order-view.js';
import { SECRET, startOrders, STOCK_FLAWS, type OrdersFixture } from './orders.fixture.js';
import { day, type Day, type Step, type Stream } from './random-day.fixture.js';
import { startScriptedProvider, type ScriptedProvider } from './scripted-provider.fixture.js';

const runs = Number(process.env.PROPERTY_RUNS ?? 6);
const seed = Number(process.env.PROPERTY_SEED ?? Date.now() % 1_000_000_000);

describe('the order process', () => {
  let provider: ScriptedProvider;
  let orders: OrdersFixture;
  let webhookUrl: string;
  beforeAll(async () => {
    provider = await startScriptedProvider(SECRET);
    const env = { PAYMENT_PROVIDER_URL: provider.url, PAYMENT_TIMEOUT_MS: '1200', CUSTOMER_TIMEOUT_MS: '1200' };
    orders = await startOrders({ env });
    webhookUrl = `${await orders.app.getUrl()}/webhooks/payments`;
  }, 60_000);
  afterAll(async () => {
    await orders?.stop();
    provider?.close();
  });

  it(
    `balances, whatever happens (PROPERTY_SEED=${seed} PROPERTY_RUNS=${runs} repeats it)`,
    () => fc.assert(fc.asyncProperty(day, live), { seed, numRuns: runs, endOnFailure: true }), // races do not shrink
    runs * 30_000,
  );

  /** One day in the shop, and the balance in the evening. */
  async function live({ stock, steps, streams, fates }: Day): Promise<void> {
    provider.follow(fates, webhookUrl);
    const users = streams.map(() => randomUUID());
    const skus = stock.map(() => `thing-${randomUUID()}`);
    const put = new Map<string, number>();
    for (const [n, sku] of skus.entries()) {
      await orders.http('PUT', `/products/${sku}`, { name: 'Thing', priceMinor: 333 + n, currency: 'EUR' });
      await putStock(sku, stock[n]!, put);
    }
    const taken: string[] = [];
    let isDay = true;
    const night = watchStock(() => isDay);
    await Promise.all([
      ...steps.map((each) => take(each, { users, skus, put, taken })),
      ...streams.map((each, n) => tellOf(users[n]!, each)),
    ]);
    await untilAtRest(users, streams);
    isDay = false;
    expect(await night).toEqual([]);
    await balance({ users, skus, put, taken });
  }

  interface Shop {
    users: string[];
    skus: string[];
    put: Map<string, number>;
    taken: string[];
  }

  async function take(each: Step, { users, skus, put, taken }: Shop): Promise<void> {
    await delay(each.afterMs);
    if (each.do === 'put') return putStock(skus[each.sku]!, each.delta, put);
    if (each.do === 'cancel') {
      const id = taken[each.order % taken.length];
      if (id) expect([202, 409]).toContain((await orders.http('POST', `/orders/${id}/cancel`)).status);
      return;
    }
    const lines = each.lines.map(({ sku, quantity }) => ({ sku: skus[sku]!, quantity }));
    const answer = await orders.http('POST', '/orders', { userId: users[each.user]!, lines });
    expect([202, 409, 422]).toContain(answer.status);
    if (answer.status === 202) taken.push((answer.body as OrderView).id);
  }

  /** By so much, whatever is sold meanwhile: only whoever has seen the present version may change it. */
  async function putStock(sku: string, delta: number, put: Map<string, number>): Promise<void> {
    for (;;) {
      const { body } = await orders.http('GET', `/products/${sku}`);
      const { version, stock } = body as { version: number; stock: { onHand: number } };
      const onHand = stock.onHand + delta;
      if (onHand < 0) return;
      const headers = { 'if-match': `"${version}"` };
      const { status } = await orders.http('PUT', `/products/${sku}/stock`, { onHand }, headers);
      if (status === 412) continue;
      expect([200, 409]).toContain(status);
      if (status === 200) put.set(sku, (put.get(sku) ?? 0) + delta);
      return;
    }
  }

  async function tellOf(userId: string, { deliveries }: Stream): Promise<void> {
    const stream = [
      new UserRegistered({ userId, name: 'Alice', email: 'alice@example.com' }),
      new UserTierChanged({ userId, from: 'standard', to: 'gold', points: 5_000 }),
      new UserProfileChanged({ userId, name: 'Alice Liddell', email: 'alice@example.com' }),
      new UserDeactivated({ userId }),
    ];
    const ids = stream.map(() => randomUUID());
    await Promise.all(
      deliveries.map(async ({ place, afterMs }) => {
        await delay(afterMs);
        await orders.deliver(stream[place]!, { sequence: place + 1, id: ids[place]! });
      }),
    );
  }

  /** Looks at moments in between: at every one of them what is promised is what open orders hold. */
  async function watchStock(isOn: () => boolean): Promise<unknown[]> {
    const flaws = [];
    while (isOn()) {
      flaws.push(...(await orders.rows(STOCK_FLAWS)));
      await delay(20);
    }
    return flaws;
  }

  const untilAtRest = (users: string[], streams: Stream[]) =>
    eventually(
      async () => {
        expect(provider.underWay).toBe(0);
        for (const waiting of [
          `select id, status from orders where status like 'awaiting-%'`,
          `select id from payments where status = 'refunding'`,
          'select id from payment_requests',
          'select id from messaging.timers',
          'select id from messaging.parked_events',
        ]) {
          expect(await orders.rows(waiting)).toEqual([]);
        }
        for (const [n, { length }] of streams.entries()) {
          const [customer] = await orders.rows<{ status: string; tier: string; name: string }>(
            'select status, tier, name from customers where user_id = $1',
            users[n],
          );
          if (length > 0) {
            expect(customer).toEqual({
              status: length === 4 ? 'deactivated' : 'active',
              tier: length > 1 ? 'gold' : 'standard',
              name: length > 2 ? 'Alice Liddell' : 'Alice',
            });
          }
        }
      },
      { timeoutMs: 25_000, intervalMs: 100 },
    );

  async function balance({ users, skus, put, taken }: Shop): Promise<void> {
    const all = await Promise.all(taken.map(orders.read));
    const told = await orders.sentBy();
    for (const { id, status, lines, discountMinor, totalMinor } of all) {
      expect(['confirmed', 'cancelled']).toContain(status);
      const sum = lines.reduce((total, { quantity, unitPriceMinor }) => total + quantity * unitPriceMinor, 0);
      expect(sum - discountMinor).toBe(totalMinor);
      const { kept } = provider;
      expect({ id, status, kept: kept.get(id) ?? 0 }).toEqual({
        id,
        status,
        kept: status === 'confirmed' ? totalMinor : 0,
      });
      const facts = told.filter(({ subject, type }) => subject === id && type.startsWith('orders.order.'));
      const path = facts.map(({ type }) => type.split('.')[2]).filter((fact) => fact !== 'placed');
      expect(path).toEqual([status]);
    }
    const there = await orders.rows<{ count: string }>('select count(*) from orders where user_id = any($1)', users);
    expect(Number(there[0]!.count)).toBe(taken.length);
    for (const sku of skus) {
      const sold = all
        .filter(({ status }) => status === 'confirmed')
        .flatMap(({ lines }) => lines.filter((each) => each.sku === sku))
        .reduce((sum, { quantity }) => sum + quantity, 0);
      expect(await orders.stock(sku)).toMatchObject({ onHand: (put.get(sku) ?? 0) - sold, reserved: 0 });
    }
  }
});
