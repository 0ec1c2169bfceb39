import { randomUUID } from 'node:crypto';
import { UserRegistered } from '@app/contracts';
import { eventually } from '@app/testing';
import { behaviour, startShop, type Shop } from './shop.fixture.js';

let shop: Shop;
beforeEach(async () => (shop = await startShop()));
afterEach(() => shop.stop());

/** The value of one series; counters are shared by all tests of this file, so only differences count. */
async function value(series: string): Promise<number | undefined> {
  const text = await shop.metrics();
  const line = text.split('\n').find((candidate) => candidate.startsWith(`${series} `));
  return line === undefined ? undefined : Number(line.slice(series.length + 1));
}

const REGISTERED = 'event="users.user.registered.v1"';

describe('metrics', () => {
  it('count what the inbox applies, ignores and drops', async () => {
    const before = {
      applied: (await value(`inbox_applied_total{${REGISTERED}}`)) ?? 0,
      duplicates: (await value('inbox_duplicates_total'))!,
      ignored: (await value('inbox_ignored_total'))!,
      runs: (await value('reaction_duration_seconds_count{reaction="GreetUser"}')) ?? 0,
    };
    const user = randomUUID();
    const sent = await shop.deliver(new UserRegistered({ userId: user, name: 'A', email: 'a@example.com' }), {
      twice: true,
    });
    await shop.deliverBatch([{ ...sent, id: randomUUID(), sequence: '2', type: 'users.user.unheard-of.v1' }]);
    await eventually(async () => {
      expect(await value(`inbox_applied_total{${REGISTERED}}`)).toBe(before.applied + 1);
      expect(await value('inbox_duplicates_total')).toBe(before.duplicates + 1);
      expect(await value('inbox_ignored_total')).toBe(before.ignored + 1);
      expect(await value('reaction_duration_seconds_count{reaction="GreetUser"}')).toBe(before.runs + 1);
    });
  });

  it('count nothing that was rolled back', async () => {
    behaviour.greet = () => Promise.reject(new Error('no'));
    const before = (await value(`inbox_applied_total{${REGISTERED}}`)) ?? 0;
    const failed = (await value('reaction_failures_total{reaction="GreetUser"}')) ?? 0;
    await shop.register(randomUUID());
    await eventually(async () => expect(await shop.parked()).toHaveLength(1));
    expect((await value(`inbox_applied_total{${REGISTERED}}`)) ?? 0).toBe(before);
    expect(await value('reaction_failures_total{reaction="GreetUser"}')).toBeGreaterThan(failed);
    await eventually(async () => expect(await value('parked_events{state="retry"}')).toBe(1));
    expect(await value('parked_events{state="dead"}')).toBe(0);
    await eventually(async () => expect(await value('parked_oldest_age_seconds')).toBeGreaterThan(0.5));
  });

  it('tell how far the outbox is behind', async () => {
    await shop.ops('POST', '/pause', { scope: 'relay', reason: 'test' });
    expect(await value('outbox_pending_events')).toBe(0);
    expect(await value('outbox_oldest_pending_age_seconds')).toBe(0);
    await shop.rows(
      `with event as (
         insert into messaging.events (id, type, epoch, aggregate, subject, sequence, page, correlation_id, data, recorded_at)
         select gen_random_uuid(), 'orders.order.placed.v1', epoch, 'orders.order', n::text, 1, 1, 'c', '{}', now() - interval '1 min'
         from messaging.log, generate_series(1, 3) n returning position)
       insert into messaging.outbox (position, bytes) select position, 1 from event`,
    );
    await eventually(async () => expect(await value('outbox_pending_events')).toBe(3));
    expect(await value('outbox_oldest_pending_age_seconds')).toBeGreaterThan(59);
    expect(await value('paused{scope="relay"}')).toBe(1);
    const before = {
      published: (await value('outbox_published_total{event="orders.order.placed.v1"}')) ?? 0,
      unroutable: (await value('outbox_unroutable_total{event="orders.order.placed.v1"}')) ?? 0,
    };
    await shop.ops('POST', '/resume', { scope: 'relay' });
    await eventually(async () => expect(await value('outbox_pending_events')).toBe(0));
    expect(await value('outbox_published_total{event="orders.order.placed.v1"}')).toBe(before.published + 3);
    expect(await value('outbox_unroutable_total{event="orders.order.placed.v1"}')).toBe(before.unroutable + 3);
  });

  it('tell what the broker refuses, and which timers failed', async () => {
    await shop.ops('POST', '/pause', { scope: 'relay', reason: 'test' });
    expect(await value('outbox_unpublishable_events')).toBe(0);
    expect(await value('timers_failed')).toBe(0);
    await shop.rows(
      `with event as (
         insert into messaging.events (id, type, epoch, aggregate, subject, sequence, page, correlation_id, data)
         select gen_random_uuid(), 'orders.order.placed.v1', epoch, 'orders.order', n::text, 1, 1, 'c', '{}'
         from messaging.log, generate_series(1, 2) n returning position)
       insert into messaging.unpublishable (position, error) select position, 'too large' from event`,
    );
    await shop.rows(
      `insert into messaging.timers (id, type, aggregate, subject, due_at, correlation_id, data)
       values (gen_random_uuid(), 'orders.order.unknown.v1', 'orders.order', 'o1', now(), 'c', '{}')`,
    );
    await eventually(async () => expect(await value('outbox_unpublishable_events')).toBe(2));
    await eventually(async () => expect(await value('timers_failed')).toBe(1));
    expect(await value('timers_overdue')).toBe(0);
  });

  it('tell whether the connections to the broker stand', async () => {
    for (const purpose of ['publisher', 'consumer', 'requests', 'replay requests', 'replay publisher']) {
      expect([purpose, await value(`broker_connection_state{purpose="${purpose}"}`)]).toEqual([purpose, 1]);
    }
    await shop.ops('POST', '/pause', { scope: 'inbox:orders', reason: 'test' });
    await eventually(async () => expect(await value('broker_connection_state{purpose="consumer"}')).toBe(0));
    await shop.ops('POST', '/resume', { scope: 'inbox:orders' });
    await eventually(async () => expect(await value('broker_connection_state{purpose="consumer"}')).toBe(1));
  });

  it('leave out what the database does not answer in time, and answer nevertheless', async () => {
    const client = await shop.database.connect();
    try {
      await client.query('begin; lock table messaging.outbox in access exclusive mode');
      const started = Date.now();
      const text = await shop.metrics();
      expect(Date.now() - started).toBeLessThan(3_000);
      expect(text).toContain('inbox_duplicates_total');
      expect(text).not.toMatch(/^outbox_pending_events \d/m);
      expect(text).not.toMatch(/^parked_events\{/m);
    } finally {
      await client.query('rollback');
      client.release();
    }
    await eventually(async () => expect(await value('outbox_pending_events')).toBe(0));
  });
});
