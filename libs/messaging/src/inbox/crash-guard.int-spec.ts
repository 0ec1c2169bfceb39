import { randomUUID } from 'node:crypto';
import { CrashGuard } from './crash-guard.js';
import { arrival, see, startInbox, stream, subjectOf, users, type InboxFixture } from './inbox.fixture.js';

describe('CrashGuard', () => {
  let inbox: InboxFixture;
  let guard: CrashGuard;
  beforeAll(async () => {
    inbox = await startInbox();
    guard = new CrashGuard('orders', inbox.outside, inbox.applier, 2_000);
  });
  afterAll(() => inbox?.stop());
  beforeEach(() => inbox.clear());

  const suspicions = () => inbox.rows('select event_id from messaging.inbox_attempts');
  const transactions = async () =>
    (await inbox.rows<{ n: number }>('select count(distinct xmin::text)::int as n from seen'))[0]!.n;

  /** For the database it is the same: the connection is gone in the middle of the transaction. */
  const diesOf = (culprit: string) => {
    inbox.handle = async (event, tx) => {
      if (event.userId === culprit) {
        const { rows } = await tx.query<{ pid: number }>('select pg_backend_pid() as pid');
        await inbox.rows('select pg_terminate_backend($1)', rows[0]!.pid);
      }
      await see(event, tx);
    };
  };

  it('applies together what was there when a process died, for mostly it was nobody’s fault', async () => {
    await guard.apply(users(100));
    expect(await inbox.seen()).toHaveLength(100);
    expect(await transactions()).toBe(1);
    expect(await suspicions()).toEqual([]);
  });

  it('finds the one that kills, and applies its neighbours', async () => {
    const culprit = arrival(randomUUID());
    const innocent = [...users(3), ...stream(randomUUID(), 3)];
    const items = [...innocent.slice(0, 2), culprit, ...innocent.slice(2)];
    diesOf(subjectOf(culprit));

    await expect(guard.apply(items)).rejects.toThrow(); // together
    expect(await inbox.seen()).toHaveLength(0);
    await expect(guard.apply(items)).rejects.toThrow(); // alone, for the first time
    await expect(guard.apply(items)).rejects.toThrow();
    expect(await inbox.seen()).toHaveLength(2);

    await guard.apply(items);
    expect((await inbox.seen()).map(({ user_id }) => user_id).sort()).toEqual(innocent.map(subjectOf).sort());
    expect(await inbox.parked()).toMatchObject([
      { subject: subjectOf(culprit), state: 'retry', error: expect.stringContaining('2 processes died') as string },
    ]);
    expect(await suspicions()).toEqual([]);
  });

  it('takes an event that comes twice at once', async () => {
    const items = users(2);
    diesOf(subjectOf(items[1]!));
    await expect(guard.apply([...items, ...items])).rejects.toThrow();
    inbox.handle = see;
    await guard.apply([...items, ...items]);
    expect(await inbox.seen()).toHaveLength(2);
    expect(await suspicions()).toEqual([]);
  });
});
