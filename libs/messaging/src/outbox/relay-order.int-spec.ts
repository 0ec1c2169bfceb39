import { randomUUID } from 'node:crypto';
import { eventually } from '@app/testing';
import { firstArrivalsOutOfOrder, startOutbox, type OutboxFixture } from './outbox.fixture.js';

describe('Relay, when events do not come in their order', () => {
  let outbox: OutboxFixture;
  beforeEach(async () => (outbox = await startOutbox()));
  afterEach(() => outbox.stop());

  it('publishes an event whose transaction commits late, long after later positions were published', async () => {
    const heard = await outbox.listen();
    const relay = outbox.relay();
    relay.start();
    const slow = await outbox.pool.connect();
    const late = randomUUID();
    await slow.query('begin');
    const { rows } = await slow.query<{ position: string }>(
      `with event as (
         insert into messaging.events (id, type, epoch, aggregate, subject, sequence, page, correlation_id, data)
         select gen_random_uuid(), 'users.user.registered.v1', epoch, 'users.user', $1, 1, 1, 'test', '{}' from messaging.log
         returning position)
       insert into messaging.outbox (position, bytes) select position, 100 from event returning position`,
      [late],
    );
    await outbox.fill(12_000); // more than the margin behind which the relay does not look every time
    await outbox.emptied();
    await eventually(() => expect(heard).toHaveLength(12_000));
    const [newest] = await outbox.rows('select max(position)::int as position from messaging.events');
    expect(Number(rows[0]!.position)).toBeLessThan((newest as { position: number }).position - 11_000);

    await slow.query('commit');
    slow.release();
    await eventually(() => expect(heard.map(({ subject }) => subject)).toContain(late), { timeoutMs: 3_000 });
    await outbox.emptied();
    expect(firstArrivalsOutOfOrder(heard)).toEqual([]);
  });

  it('lets one of two relays publish, so that they do not overtake each other', async () => {
    const heard = await outbox.listen();
    const relays = [outbox.relay(), outbox.relay()];
    for (const relay of relays) relay.start();
    await eventually(() => expect(relays.filter(({ status }) => status.active)).toHaveLength(1));
    await outbox.fill(5_000, 10);
    await outbox.emptied();
    await eventually(() => expect(heard.length).toBeGreaterThanOrEqual(5_000));
    expect(heard).toHaveLength(5_000);
    expect(firstArrivalsOutOfOrder(heard)).toEqual([]);
    expect(relays.map(({ status }) => status.published).sort((a, b) => a - b)).toEqual([0, 5_000]);

    const [active, standby] = relays[0]!.status.active ? relays : [...relays].reverse();
    await active!.stop();
    await outbox.fill(100);
    await outbox.emptied(3_000);
    expect(standby!.status).toMatchObject({ active: true, published: 100 });
  });
});
