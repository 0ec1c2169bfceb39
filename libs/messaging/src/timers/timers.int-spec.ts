import { randomUUID } from 'node:crypto';
import { runInContext } from '@app/context';
import { UserRegistered } from '@app/contracts';
import { eventually } from '@app/testing';
import { startOutbox, type OutboxFixture } from '../outbox/outbox.fixture.js';
import { Outbox } from '../outbox/outbox.js';
import { EventRefusedError } from '../outbox/recordable.js';
import { listFailedTimers, retryTimer, timerStatus } from './timer-status.js';
import { TimerWorker } from './timer-worker.js';
import { Timers, type Due } from './timers.js';

const registered = (userId: string, name = 'Alice') => new UserRegistered({ userId, name, email: 'alice@example.com' });
const ids = (n: number) => Array.from({ length: n }, () => randomUUID());

describe('Timers', () => {
  let fixture: OutboxFixture;
  let workers: TimerWorker[];
  let timers: Timers;

  /** A worker, not started yet; the timers of this test are set in its process. */
  const worker = (databaseUrl?: string) => {
    const options = fixture.options({ databaseUrl });
    const made = new TimerWorker(options, new Outbox(options, fixture.relay()));
    workers.push(made);
    timers = new Timers(options, made);
    return made;
  };
  const set = (due: Due, userId: string, key?: string) =>
    fixture.database.transaction((tx) => timers.set(tx, due, registered(userId), key));
  const setMany = (due: Due, users: readonly string[]) =>
    fixture.database.transaction(async (tx) => {
      for (const userId of users) await timers.set(tx, due, registered(userId), userId);
    });
  const cancel = (keyOrId: string) => fixture.database.transaction((tx) => timers.cancel(tx, keyOrId));
  const recorded = () =>
    fixture.rows<{
      subject: string;
      sequence: string;
      correlation_id: string;
      late_ms: number;
      data: { name: string };
    }>('select subject, sequence, correlation_id, data from messaging.events order by position');
  const left = () =>
    fixture.rows<{ id: string; error: string | null }>('select id, error from messaging.timers order by due_at');
  const until = (events: number, timeoutMs = 5_000) =>
    eventually(async () => expect(await recorded()).toHaveLength(events), { timeoutMs, intervalMs: 10 });

  beforeEach(async () => {
    fixture = await startOutbox();
    workers = [];
    worker();
  });
  afterEach(async () => {
    await Promise.all(workers.map((made) => made.stop()));
    await fixture.stop();
  });

  it('records the event when it is due, once, with the correlation id of who set it', async () => {
    workers[0]!.start();
    const userId = randomUUID();
    const started = performance.now();
    await runInContext({ correlationId: 'the-request' }, () => set({ afterMs: 400 }, userId));
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(await recorded()).toEqual([]);
    await until(1);
    expect(performance.now() - started).toBeLessThan(900);
    expect(await recorded()).toMatchObject([{ subject: userId, sequence: '1', correlation_id: 'the-request' }]);
    expect(await left()).toEqual([]);
    expect(await fixture.pending()).toBe(1);
  });

  it('fires a nearer timer first, though it sleeps until a later one', async () => {
    workers[0]!.start();
    const [later, nearer] = ids(2);
    await set({ afterMs: 900 }, later!);
    await new Promise((resolve) => setTimeout(resolve, 100));
    const started = performance.now();
    await set({ afterMs: 50 }, nearer!);
    await until(1);
    expect(performance.now() - started).toBeLessThan(400);
    await until(2);
    expect((await recorded()).map(({ subject }) => subject)).toEqual([nearer, later]);
  });

  it('finds what another process has set, and what fell due while nobody was there', async () => {
    const setter = timers;
    const users = ids(3);
    await fixture.database.transaction((tx) => setter.set(tx, new Date(0), registered(users[0]!)));
    worker().start();
    await until(1);
    await fixture.database.transaction((tx) => setter.set(tx, new Date(), registered(users[1]!)));
    await until(2, 1_500);
  });

  it('fires each timer once, in the order of its stream, however many workers there are', async () => {
    const streams = ids(20);
    const due = new Date();
    await fixture.database.transaction(async (tx) => {
      for (let n = 0; n < 500; n++) {
        await timers.set(tx, new Date(due.getTime() + n), registered(streams[n % 20]!, `number ${n}`));
      }
    });
    for (let n = 0; n < 3; n++) worker().start();
    await until(500);
    const events = await recorded();
    for (const stream of streams) {
      const mine = events.filter(({ subject }) => subject === stream);
      expect(mine.map(({ sequence }) => Number(sequence))).toEqual(Array.from({ length: 25 }, (_, n) => n + 1));
    }
    expect(new Set(events.map(({ data }) => data.name)).size).toBe(500);
    expect(await left()).toEqual([]);
    expect(workers.reduce((sum, { counts }) => sum + counts.fired, 0)).toBe(500);
  });

  it('cancels by key or by id, as long as it has not fired', async () => {
    const [one, two, three] = ids(3);
    const id = await set({ afterMs: 60_000 }, one!);
    await set({ afterMs: 60_000 }, two!, 'payment of two');
    await set({ afterMs: 0 }, three!, three);
    expect(await cancel(id)).toBe(true);
    expect(await cancel('payment of two')).toBe(true);
    expect(await cancel('payment of two')).toBe(false);
    expect(await left()).toHaveLength(1);
    workers[0]!.start();
    await until(1);
    expect(await cancel(three!)).toBe(false);
  });

  it('replaces the timer with the same key', async () => {
    const [one, two] = ids(2);
    const first = await set({ afterMs: 60_000 }, one!, 'key');
    const second = await set({ afterMs: 0 }, two!, 'key');
    expect(await left()).toMatchObject([{ id: second }]);
    expect(await cancel(first)).toBe(false);
    workers[0]!.start();
    await until(1);
    expect(await recorded()).toMatchObject([{ subject: two }]);
  });

  it('belongs to the transaction: what is rolled back was neither set nor cancelled', async () => {
    const [one, two] = ids(2);
    await set({ afterMs: 300 }, one!, 'kept');
    const fails = fixture.database.transaction(async (tx) => {
      await timers.cancel(tx, 'kept');
      await timers.set(tx, { afterMs: 0 }, registered(two!));
      throw new Error('changed my mind');
    });
    await expect(fails).rejects.toThrow('changed my mind');
    workers[0]!.start();
    await until(1);
    expect(await recorded()).toMatchObject([{ subject: one }]);
  });

  it('either fires or is cancelled, never both and never neither', async () => {
    const users = ids(300);
    await setMany({ afterMs: 300 }, users);
    workers[0]!.start();
    worker().start();
    const cancelled: string[] = [];
    await new Promise((resolve) => setTimeout(resolve, 290));
    await Promise.all(users.map(async (userId) => (await cancel(userId)) && cancelled.push(userId)));
    await eventually(async () => expect(await left()).toEqual([]));
    const fired = (await recorded()).map(({ subject }) => subject);
    expect([...fired, ...cancelled].sort()).toEqual([...users].sort());
  });

  it('does not deadlock with commands that record and cancel, in either order', async () => {
    const users = ids(150);
    const outbox = new Outbox(fixture.options(), fixture.relay());
    for (const userId of users) await fixture.database.transaction((tx) => outbox.add(tx, registered(userId)));
    await setMany({ afterMs: 250 }, users);
    workers[0]!.start();
    await new Promise((resolve) => setTimeout(resolve, 230));
    const cancelled = await Promise.all(
      users.map((userId, n) =>
        fixture.database.transaction(async (tx) => {
          if (n % 2 === 0) await outbox.add(tx, registered(userId, 'by command'));
          const done = await timers.cancel(tx, userId);
          if (n % 2 === 1) await outbox.add(tx, registered(userId, 'by command'));
          return done;
        }),
      ),
    );
    await eventually(async () => expect(await left()).toEqual([]));
    expect(await recorded()).toHaveLength(450 - cancelled.filter(Boolean).length);
    const [{ deadlocks }] = (await fixture.rows<{ deadlocks: string }>(
      'select deadlocks from pg_stat_database where datname = current_database()',
    )) as [{ deadlocks: string }];
    expect(deadlocks).toBe('0');
  });

  it('does not let a busy stream hold up the others, and gets in line for it in the end', async () => {
    const users = ids(120);
    const busy = users.slice(0, 110); // more than a batch
    const outbox = new Outbox(fixture.options(), fixture.relay());
    for (const userId of busy) await fixture.database.transaction((tx) => outbox.add(tx, registered(userId)));
    await setMany({ afterMs: 0 }, users);
    const started = performance.now();
    await fixture.database.transaction(async (tx) => {
      for (const userId of busy) await outbox.add(tx, registered(userId));
      workers[0]!.start();
      await until(110 + 10);
    });
    expect(performance.now() - started).toBeLessThan(2_000);
    await until(110 + 110 + 120);
  });

  it('sets a timer aside whose event cannot be recorded any more, fires the others, and tries again after a restart', async () => {
    const [changed, unknown, fine] = ids(3);
    await setMany({ afterMs: 0 }, [changed!, unknown!, fine!]);
    await fixture.rows(`update messaging.timers set data = '{"userId":"x"}' where key = $1`, changed);
    await fixture.rows(`update messaging.timers set type = 'users.user.forgotten.v1' where key = $1`, unknown);
    workers[0]!.start();
    await until(1);
    await eventually(() => expect(workers[0]!.counts).toEqual({ fired: 1, setAside: 2 }));
    expect(await recorded()).toMatchObject([{ subject: fine }]);
    const errors = (await left()).map(({ error }) => error).sort();
    expect(errors).toEqual([
      expect.stringMatching(/does not know users\.user\.forgotten\.v1/),
      expect.stringMatching(/users\.user\.registered\.v1: userId/),
    ]);
    const again = await fixture.rows<{ n: string }>('select sum(n_tup_upd) as n from pg_stat_user_tables');
    expect(Number(again[0]!.n)).toBeLessThan(50); // no hot loop

    expect(await timerStatus(fixture.pool)).toEqual({ nextDueAt: null, overdue: 0, failed: 2 });

    await fixture.rows(`update messaging.timers set type = 'users.user.registered.v1' where key = $1`, unknown);
    worker().start();
    await until(2);
    const [stillFailed] = await listFailedTimers(fixture.pool);
    expect(stillFailed).toMatchObject({ key: changed, type: 'users.user.registered.v1' });
    const payload = JSON.stringify(registered(changed!));
    await fixture.rows(`update messaging.timers set data = $1 where key = $2`, payload, changed);
    expect(await retryTimer(fixture.pool, stillFailed!.id)).toBe(true);
    await until(3);
  });

  it('sets aside what the database refuses, too, without holding up the batch', async () => {
    const users = ids(5);
    await setMany({ afterMs: 0 }, users);
    await fixture.rows(
      `create function refuse() returns trigger language plpgsql as $$ begin raise 'not this one'; end $$`,
    );
    await fixture.rows(
      `create trigger refuse before insert on messaging.events for each row when (new.subject = '${users[2]}')
       execute function refuse()`,
    );
    workers[0]!.start();
    await until(4);
    await eventually(async () => expect(await left()).toMatchObject([{ error: 'not this one' }]));
  });

  it('fires once and only once while connections to the database break', async () => {
    const users = ids(1_000);
    await setMany({ afterMs: 0 }, users);
    workers[0]!.start();
    worker().start();
    for (let n = 0; n < 10; n++) {
      await fixture.rows(
        `select pg_terminate_backend(pid) from pg_stat_activity
         where datname = current_database() and application_name = 'users timers'`,
      );
      await new Promise((resolve) => setTimeout(resolve, 30));
    }
    await until(1_000, 10_000);
    expect(new Set((await recorded()).map(({ subject }) => subject))).toEqual(new Set(users));
    expect(await left()).toEqual([]);
  });

  it('refuses at once what could never be recorded', async () => {
    const options = { ...fixture.options(), service: 'orders' };
    const foreign = new Timers(options, workers[0]!);
    const attempt = (work: () => Promise<unknown>) => expect(work()).rejects.toThrow(EventRefusedError);
    await attempt(() => fixture.database.transaction((tx) => foreign.set(tx, new Date(), registered(randomUUID()))));
    await attempt(() => set(new Date('tomorrow'), randomUUID()));
    await attempt(() => set({ afterMs: Number.NaN }, randomUUID()));
    expect(await left()).toEqual([]);
  });
});
