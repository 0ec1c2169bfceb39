import { randomUUID } from 'node:crypto';
import { UserRegistered } from '@app/contracts';
import {
  createTestVhost,
  eventually,
  reactingService,
  startTestService,
  Teller,
  TellingModule,
  userNamed,
  type React,
  type TestService,
  type TestVhost,
} from '@app/testing';

/** What the reaction writes: every time it runs is a row. */
const SEEN = 'create table seen (n bigint generated always as identity, user_id uuid not null, name text not null)';
const write: React<UserRegistered> = ({ userId, name }, tx) =>
  tx.query('insert into seen (user_id, name) values ($1, $2)', [userId, name]);

describe('From service to service, an event road', () => {
  let vhost: TestVhost;
  let users: TestService;
  let orders: TestService;
  let teller: Teller;
  let react = write;
  const Listening = reactingService(UserRegistered, (event, tx) => react(event, tx), { touches: () => [] });

  beforeAll(async () => {
    vhost = await createTestVhost();
    [users, orders] = await Promise.all([
      startTestService(TellingModule, 'users', { vhost }),
      startTestService(Listening, 'orders', { vhost, sql: SEEN }),
    ]);
    teller = users.app.get(Teller);
  });
  afterAll(async () => {
    await users?.stop();
    await orders?.stop();
    await vhost?.drop();
  });
  afterEach(() => {
    react = write;
  });

  const seenOf = async (userId: string) =>
    (await orders.rows<{ name: string }>('select name from seen where user_id = $1 order by n', userId)).map(
      (row) => row.name,
    );
  const parkedOf = (userId: string) =>
    orders.rows<{ state: string; attempts: number; error: string | null; sequence: string }>(
      'select state, attempts, error, sequence from messaging.parked_events where subject = $1 order by sequence',
      userId,
    );
  /** Lets retries happen now instead of in a while. */
  const hurry = () => orders.database.query(`update messaging.parked_events set due_at = now() where state = 'retry'`);
  const numbers = (count: number) => Array.from({ length: count }, (_, i) => String(i + 1));
  const isSeen = (userId: string, names: string[]) =>
    eventually(async () => {
      await hurry();
      expect(await seenOf(userId)).toEqual(names);
    });

  it('publishes nothing when the transaction rolls back', async () => {
    const userId = randomUUID();
    const rolledBack = teller.database.transaction(async (tx) => {
      await teller.outbox.add(tx, userNamed(userId, 'never happened'));
      await tx.flush(); // Postgres has it
      throw new Error('changed my mind');
    });
    await expect(rolledBack).rejects.toThrow('changed my mind');
    await teller.tell(userId, 'happened');
    await isSeen(userId, ['happened']);
    expect((await users.sentBy()).filter(({ subject }) => subject === userId)).toMatchObject([
      { sequence: 1, data: { name: 'happened' } },
    ]);
  });

  it('applies a redelivery once', async () => {
    const ids = Array.from({ length: 200 }, () => randomUUID());
    for (const userId of ids) await teller.tell(userId, 'a', 'b');
    // Everything is published once more, while connections break and deliveries come again.
    await users.database.query(
      'insert into messaging.outbox select position, 1000 from messaging.events on conflict do nothing',
    );
    for (let i = 0; i < 2; i++) {
      await eventually(async () => expect(await vhost.connections()).not.toHaveLength(0));
      await vhost.closeConnections();
    }
    await eventually(async () => expect(await users.rows('select from messaging.outbox')).toEqual([]), {
      timeoutMs: 20_000,
    });
    const last = randomUUID();
    await teller.tell(last, 'the last one');
    await isSeen(last, ['the last one']);
    await eventually(async () => {
      const [counts] = await orders.rows(
        'select count(*)::int as runs, count(distinct (user_id, name))::int as events from seen where user_id = any($1)',
        ids,
      );
      expect(counts).toEqual({ runs: 400, events: 400 });
    });
    expect(await orders.rows('select from messaging.parked_events')).toEqual([]);
  });

  it('keeps the order of one user’s events across retries, and does not keep others waiting', async () => {
    const [userId, neighbour] = [randomUUID(), randomUUID()];
    const attempts = new Map<string, number>();
    react = async (event, tx) => {
      await write(event, tx);
      const attempt = (attempts.get(event.name) ?? 0) + 1;
      if (event.userId !== userId) return;
      attempts.set(event.name, attempt);
      if (event.name === '3' && attempt < 4) throw new Error(`not yet: attempt ${attempt}`);
      if (event.name === '7' && attempt < 2) await tx.query('select 1 / 0');
    };
    await teller.tell(userId, ...numbers(20));
    await teller.tell(neighbour, ...numbers(20));
    await eventually(async () => expect(await seenOf(neighbour)).toEqual(numbers(20)));
    expect(await seenOf(userId)).not.toContain('3');
    await isSeen(userId, numbers(20));
    expect(attempts.get('3')).toBe(4);
    expect(attempts.get('7')).toBeGreaterThanOrEqual(2);
    expect(await parkedOf(userId)).toEqual([]);
  });

  it('sets a poison event aside and goes on, and applies it with its successors once it is cured', async () => {
    const [poisoned, healthy] = [randomUUID(), randomUUID()];
    react = async (event, tx) => {
      await write(event, tx);
      if (event.userId === poisoned && event.name === '2') throw new Error('I am poison');
    };
    await teller.tell(poisoned, '1', '2', '3', '4');
    await teller.tell(healthy, ...numbers(50));
    await eventually(async () => expect(await seenOf(healthy)).toEqual(numbers(50)));
    for (const attempts of [1, 2, 3]) {
      await eventually(async () => {
        expect(await parkedOf(poisoned)).toMatchObject([
          { state: 'retry', attempts, sequence: '2', error: expect.stringContaining('I am poison') },
          { state: 'waiting', attempts: 0, sequence: '3' },
          { state: 'waiting', attempts: 0, sequence: '4' },
        ]);
      });
      await hurry();
    }
    expect(await seenOf(poisoned)).toEqual(['1']);
    // The management API is half a second behind.
    await eventually(async () => {
      const queue = (await vhost.queues()).find(({ name }) => name === 'orders.inbox');
      expect(queue).toMatchObject({ messages: 0 });
    });
    react = write;
    await isSeen(poisoned, ['1', '2', '3', '4']);
    expect(await parkedOf(poisoned)).toEqual([]);
  });
});
