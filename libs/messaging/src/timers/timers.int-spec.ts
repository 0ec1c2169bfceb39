import { randomUUID } from 'node:crypto';
import { runInContext } from '@app/context';
import { eventually } from '@app/testing';
import { EventRefusedError } from '../outbox/recordable.js';
import { listFailedTimers, retryTimer, timerStatus } from './timer-status.js';
import { Timers } from './timers.js';
import { ids, registered, startTimers, type TimersFixture } from './timers.fixture.js';

describe('Timers', () => {
  let timers: TimersFixture;
  beforeEach(async () => (timers = await startTimers()));
  afterEach(() => timers.stop());

  it('records the event when it is due, once, with the correlation id of who set it', async () => {
    timers.worker.start();
    const userId = randomUUID();
    const [before] = await timers.rows<{ at: Date }>('select clock_timestamp() as at');
    await runInContext({ correlationId: 'the-request' }, () => timers.set({ afterMs: 400 }, userId));
    await timers.until(1);
    // By the clock that it goes by: ours stands still while this machine is busy.
    const [event] = await timers.rows<{ late: number }>(
      'select extract(epoch from recorded_at - $1)::float8 * 1000 - 400 as late from messaging.events',
      before!.at,
    );
    expect(event!.late).toBeGreaterThanOrEqual(0);
    expect(event!.late).toBeLessThan(1_000);
    expect(await timers.recorded()).toMatchObject([{ subject: userId, sequence: '1', correlation_id: 'the-request' }]);
    expect(await timers.left()).toEqual([]);
    expect(await timers.pending()).toBe(1);
  });

  it('fires a nearer timer first, though it sleeps until a later one', async () => {
    timers.worker.start();
    const [later, nearer] = ids(2);
    await timers.set({ afterMs: 900 }, later!);
    await new Promise((resolve) => setTimeout(resolve, 100));
    const started = performance.now();
    await timers.set({ afterMs: 50 }, nearer!);
    await timers.until(1);
    expect(performance.now() - started).toBeLessThan(400);
    await timers.until(2);
    expect((await timers.recorded()).map(({ subject }) => subject)).toEqual([nearer, later]);
  });

  it('finds what another process has set, and what fell due while nobody was there', async () => {
    const users = ids(3);
    await timers.database.transaction((tx) => timers.timers.set(tx, new Date(0), registered(users[0]!)));
    timers.another().start();
    await timers.until(1);
    await timers.database.transaction((tx) => timers.timers.set(tx, new Date(), registered(users[1]!)));
    await timers.until(2, 1_500);
  });

  it('cancels by key or by id, as long as it has not fired', async () => {
    const [one, two, three] = ids(3);
    const id = await timers.set({ afterMs: 60_000 }, one!);
    await timers.set({ afterMs: 60_000 }, two!, 'payment of two');
    await timers.set({ afterMs: 0 }, three!, three);
    expect(await timers.cancel(id)).toBe(true);
    expect(await timers.cancel('payment of two')).toBe(true);
    expect(await timers.cancel('payment of two')).toBe(false);
    expect(await timers.left()).toHaveLength(1);
    timers.worker.start();
    await timers.until(1);
    expect(await timers.cancel(three!)).toBe(false);
  });

  it('replaces the timer with the same key', async () => {
    const [one, two] = ids(2);
    const first = await timers.set({ afterMs: 60_000 }, one!, 'key');
    const second = await timers.set({ afterMs: 0 }, two!, 'key');
    expect(await timers.left()).toMatchObject([{ id: second }]);
    expect(await timers.cancel(first)).toBe(false);
    timers.worker.start();
    await timers.until(1);
    expect(await timers.recorded()).toMatchObject([{ subject: two }]);
  });

  it('belongs to the transaction: what is rolled back was neither set nor cancelled', async () => {
    const [one, two] = ids(2);
    await timers.set({ afterMs: 300 }, one!, 'kept');
    const fails = timers.database.transaction(async (tx) => {
      await timers.timers.cancel(tx, 'kept');
      await timers.timers.set(tx, { afterMs: 0 }, registered(two!));
      throw new Error('changed my mind');
    });
    await expect(fails).rejects.toThrow('changed my mind');
    timers.worker.start();
    await timers.until(1);
    expect(await timers.recorded()).toMatchObject([{ subject: one }]);
  });

  it('sets a timer aside whose event cannot be recorded any more, fires the others, and tries again after a restart', async () => {
    const [changed, unknown, fine] = ids(3);
    await timers.setMany({ afterMs: 0 }, [changed!, unknown!, fine!]);
    await timers.rows(`update messaging.timers set data = '{"userId":"x"}' where key = $1`, changed);
    await timers.rows(`update messaging.timers set type = 'users.user.forgotten.v1' where key = $1`, unknown);
    timers.worker.start();
    await timers.until(1);
    await eventually(() => expect(timers.worker.counts).toEqual({ fired: 1, setAside: 2 }));
    expect(await timers.recorded()).toMatchObject([{ subject: fine }]);
    const errors = (await timers.left()).map(({ error }) => error).sort();
    expect(errors).toEqual([
      expect.stringMatching(/does not know users\.user\.forgotten\.v1/),
      expect.stringMatching(/users\.user\.registered\.v1: userId/),
    ]);
    const again = await timers.rows<{ n: string }>('select sum(n_tup_upd) as n from pg_stat_user_tables');
    expect(Number(again[0]!.n)).toBeLessThan(50); // no hot loop

    expect(await timerStatus(timers.pool)).toEqual({ nextDueAt: null, overdue: 0, failed: 2 });

    await timers.rows(`update messaging.timers set type = 'users.user.registered.v1' where key = $1`, unknown);
    timers.another().start();
    await timers.until(2);
    const [stillFailed] = await listFailedTimers(timers.pool);
    expect(stillFailed).toMatchObject({ key: changed, type: 'users.user.registered.v1' });
    const payload = JSON.stringify(registered(changed!));
    await timers.rows(`update messaging.timers set data = $1 where key = $2`, payload, changed);
    expect(await retryTimer(timers.pool, stillFailed!.id)).toBe(true);
    await timers.until(3);
  });

  it('sets aside what the database refuses, too, without holding up the batch', async () => {
    const users = ids(5);
    await timers.setMany({ afterMs: 0 }, users);
    await timers.rows(
      `create function refuse() returns trigger language plpgsql as $$ begin raise 'not this one'; end $$`,
    );
    await timers.rows(
      `create trigger refuse before insert on messaging.events for each row when (new.subject = '${users[2]}')
       execute function refuse()`,
    );
    timers.worker.start();
    await timers.until(4);
    await eventually(async () => expect(await timers.left()).toMatchObject([{ error: 'not this one' }]));
  });

  it('refuses at once what could never be recorded', async () => {
    const options = { ...timers.options(), service: 'orders' };
    const foreign = new Timers(options, timers.worker);
    const attempt = (work: () => Promise<unknown>) => expect(work()).rejects.toThrow(EventRefusedError);
    await attempt(() => timers.database.transaction((tx) => foreign.set(tx, new Date(), registered(randomUUID()))));
    await attempt(() => timers.set(new Date('tomorrow'), randomUUID()));
    await attempt(() => timers.set({ afterMs: Number.NaN }, randomUUID()));
    expect(await timers.left()).toEqual([]);
  });
});
