import { setTimeout as wait } from 'node:timers/promises';
import { eventually } from '@app/testing';
import { ids, registered, startTimers, type TimersFixture } from './timers.fixture.js';

describe('Timers, while others do things at the same time', () => {
  let timers: TimersFixture;
  beforeEach(async () => (timers = await startTimers()));
  afterEach(() => timers.stop());

  it('fires each timer once, in the order of its stream, however many workers there are', async () => {
    const streams = ids(20);
    const due = new Date();
    await timers.database.transaction(async (tx) => {
      for (let n = 0; n < 500; n++) {
        await timers.timers.set(tx, new Date(due.getTime() + n), registered(streams[n % 20]!, `number ${n}`));
      }
    });
    for (let n = 0; n < 3; n++) timers.another().start();
    await timers.until(500);
    const events = await timers.recorded();
    for (const stream of streams) {
      const mine = events.filter(({ subject }) => subject === stream);
      expect(mine.map(({ sequence }) => Number(sequence))).toEqual(Array.from({ length: 25 }, (_, n) => n + 1));
    }
    expect(new Set(events.map(({ data }) => data.name)).size).toBe(500);
    expect(await timers.left()).toEqual([]);
    expect(timers.workers.reduce((sum, { counts }) => sum + counts.fired, 0)).toBe(500);
  });

  it('either fires or is cancelled, never both and never neither', async () => {
    const users = ids(300);
    await timers.setMany({ afterMs: 300 }, users);
    timers.worker.start();
    timers.another().start();
    const cancelled: string[] = [];
    await new Promise((resolve) => setTimeout(resolve, 290));
    await Promise.all(users.map(async (userId) => (await timers.cancel(userId)) && cancelled.push(userId)));
    await eventually(async () => expect(await timers.left()).toEqual([]));
    const fired = (await timers.recorded()).map(({ subject }) => subject);
    expect([...fired, ...cancelled].sort()).toEqual([...users].sort());
  });

  it('does not deadlock with commands that record and cancel, in either order', async () => {
    const users = ids(150);
    await timers.tell(users);
    await timers.setMany({ afterMs: 250 }, users);
    timers.worker.start();
    await new Promise((resolve) => setTimeout(resolve, 230));
    const cancelled = await Promise.all(
      users.map((userId, n) =>
        timers.database.transaction(async (tx) => {
          if (n % 2 === 0) await timers.outbox.add(tx, registered(userId, 'by command'));
          const done = await timers.timers.cancel(tx, userId);
          if (n % 2 === 1) await timers.outbox.add(tx, registered(userId, 'by command'));
          return done;
        }),
      ),
    );
    await eventually(async () => expect(await timers.left()).toEqual([]));
    expect(await timers.recorded()).toHaveLength(450 - cancelled.filter(Boolean).length);
    const [{ deadlocks }] = (await timers.rows<{ deadlocks: string }>(
      'select deadlocks from pg_stat_database where datname = current_database()',
    )) as [{ deadlocks: string }];
    expect(deadlocks).toBe('0');
  });

  it('does not let a busy stream hold up the others, and gets in line for it in the end', async () => {
    const users = ids(120);
    const busy = users.slice(0, 110); // more than a batch
    await timers.tell(busy);
    await timers.setMany({ afterMs: 0 }, users);
    const started = performance.now();
    await timers.database.transaction(async (tx) => {
      for (const userId of busy) await timers.outbox.add(tx, registered(userId));
      await tx.flush(); // now it holds the streams
      timers.worker.start();
      await timers.until(110 + 10);
    });
    expect(performance.now() - started).toBeLessThan(2_000);
    await timers.until(110 + 110 + 120);
  });

  it('waits for a stream that is held once in a round, however many of its timers are late', async () => {
    const [held = '', other = ''] = ids(2);
    await timers.database.transaction((tx) => timers.outbox.add(tx, registered(held)));
    await timers.database.transaction(async (tx) => {
      for (let n = 0; n < 6; n++)
        await timers.timers.set(tx, new Date(Date.now() - 10_000), registered(held, `late ${n}`));
    });
    const set = wait(1_000).then(() => timers.setMany({ afterMs: 0 }, [other]));
    const started = performance.now();
    await timers.database.transaction(async (tx) => {
      await timers.outbox.add(tx, registered(held));
      await tx.flush(); // now it holds the stream
      timers.worker.start();
      await set;
      await timers.until(1 + 1);
    });
    expect(performance.now() - started).toBeLessThan(8_000); // a lock is waited for for three seconds
    await timers.until(1 + 1 + 1 + 6);
  });

  it('fires once and only once while connections to the database break', async () => {
    const users = ids(1_000);
    await timers.setMany({ afterMs: 0 }, users);
    timers.worker.start();
    timers.another().start();
    for (let n = 0; n < 10; n++) {
      await timers.rows(
        `select pg_terminate_backend(pid) from pg_stat_activity
         where datname = current_database() and application_name = 'users timers'`,
      );
      await new Promise((resolve) => setTimeout(resolve, 30));
    }
    await timers.until(1_000, 10_000);
    expect(new Set((await timers.recorded()).map(({ subject }) => subject))).toEqual(new Set(users));
    expect(await timers.left()).toEqual([]);
  });
});
