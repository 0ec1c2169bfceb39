// For tests: timers on a database of their own, and workers on demand.
import { randomUUID } from 'node:crypto';
import { UserRegistered } from '@app/contracts';
import { eventually } from '@app/testing';
import { noBroker, startOutbox } from '../outbox/outbox.fixture.js';
import { Outbox } from '../outbox/outbox.js';
import { TimerWorker } from './timer-worker.js';
import { Timers, type Due } from './timers.js';

export const registered = (userId: string, name = 'Alice') =>
  new UserRegistered({ userId, name, email: 'alice@example.com' });
export const ids = (n: number) => Array.from({ length: n }, () => randomUUID());

interface Recorded {
  subject: string;
  sequence: string;
  correlation_id: string;
  data: { name: string };
}

export type TimersFixture = Awaited<ReturnType<typeof startTimers>>;

export async function startTimers() {
  const { database, rows, options, relay, pool, pending, stop } = await startOutbox(noBroker);
  const workers: TimerWorker[] = [];
  const process = () => {
    const worker = new TimerWorker(options(), new Outbox(options(), relay()));
    workers.push(worker);
    return { worker, timers: new Timers(options(), worker) };
  };
  const { worker: first, timers } = process();
  const outbox = new Outbox(options(), relay());
  const recorded = () =>
    rows<Recorded>('select subject, sequence, correlation_id, data from messaging.events order by position');
  return {
    database,
    rows,
    pool,
    pending,
    options,
    timers,
    outbox,
    /** The worker of the process that sets the timers of a test; not started yet. */
    worker: first,
    workers,
    /** The worker of one more process. */
    another: () => process().worker,
    set: (due: Due, userId: string, key?: string) =>
      database.transaction((tx) => timers.set(tx, due, registered(userId), key)),
    /** In one transaction, with the user's id as key. */
    setMany: (due: Due, users: readonly string[]) =>
      database.transaction(async (tx) => {
        for (const userId of users) await timers.set(tx, due, registered(userId), userId);
      }),
    /** Records an event of each, in one transaction. */
    tell: (users: readonly string[]) =>
      database.transaction(async (tx) => {
        for (const userId of users) await outbox.add(tx, registered(userId));
      }),
    cancel: (keyOrId: string) => database.transaction((tx) => timers.cancel(tx, keyOrId)),
    recorded,
    left: () => rows<{ id: string; error: string | null }>('select id, error from messaging.timers order by due_at'),
    until: (events: number, timeoutMs = 5_000) =>
      eventually(
        async () => expect(await rows('select count(*)::int as n from messaging.events')).toEqual([{ n: events }]),
        { timeoutMs, intervalMs: 10 },
      ),
    stop: async () => {
      await Promise.all(workers.map((worker) => worker.stop()));
      await stop();
    },
  };
}
