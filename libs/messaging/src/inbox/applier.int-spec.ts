import { randomUUID } from 'node:crypto';
import type { UserRegistered } from '@app/contracts';
import { TransactionClosedError } from '@app/database';
import { eventually } from '@app/testing';
import { concatMap, throwError, timer } from 'rxjs';
import type { LoggedEvent } from '../cloud-event.js';
import {
  arrival,
  handOn,
  see,
  startInbox,
  stream,
  subjectOf,
  users,
  type Handle,
  type InboxFixture,
} from './inbox.fixture.js';
import type { Item } from './item.js';

const LIMIT_MS = 2_000;

describe('Applier', () => {
  let inbox: InboxFixture;
  beforeAll(async () => (inbox = await startInbox()));
  afterAll(() => inbox?.stop());
  beforeEach(() => inbox.clear());

  it('applies a batch, its gate and its books in one transaction', async () => {
    const batch = users(50);
    await inbox.applier.apply(batch, LIMIT_MS);
    expect((await inbox.seen()).map(({ user_id }) => user_id).sort()).toEqual(batch.map(subjectOf).sort());
    const [transactions] = await inbox.rows(
      `select count(distinct x)::int as n from (
         select xmin::text as x from seen union all select xmin::text from messaging.inbox_streams
         union all select xmin::text from messaging.inbox_pages) t`,
    );
    expect(transactions).toEqual({ n: 1 });
    expect(await inbox.applied()).toBe(50);
  });

  it('applies the events of one stream in their order', async () => {
    const userId = randomUUID();
    await inbox.applier.apply(stream(userId, 30), LIMIT_MS);
    expect(await inbox.seenOf(userId)).toEqual(Array.from({ length: 30 }, (_, i) => String(i + 1)));
    expect(await inbox.gateOf(userId)).toBe(30);
  });

  it('drops what it had, in the same batch, the next one, and for ever', async () => {
    const batch = [...users(5), ...stream(randomUUID(), 5)];
    await inbox.applier.apply([...batch, ...batch], LIMIT_MS);
    await inbox.applier.apply(batch, LIMIT_MS);
    for (const item of batch) await inbox.applier.apply([item], LIMIT_MS);
    expect(await inbox.seen()).toHaveLength(10);
    expect(await inbox.applied()).toBe(10);
    expect(await inbox.parked()).toEqual([]);
  });

  /** Counts what the reaction is called for. */
  const countCalls = (): string[] => {
    const calls: string[] = [];
    inbox.handle = (event, tx) => {
      calls.push(event.userId);
      return see(event, tx);
    };
    return calls;
  };

  it('takes the streams of a large batch for new, and does not react again to those that are not', async () => {
    const [had, fresh] = [users(30), users(30)];
    await inbox.applierOf().apply(had, LIMIT_MS); // another process: nobody here remembers it
    const reactedTo = countCalls();
    await inbox.applier.apply([...had, ...fresh], LIMIT_MS);
    expect(reactedTo.sort()).toEqual(fresh.map(subjectOf).sort());
    expect(await inbox.seen()).toHaveLength(60);
    expect(await inbox.applied()).toBe(60);
    expect(await inbox.parked()).toEqual([]);
  });

  it('hands an event that comes alone on while it is checked, and rolls back if another process had it', async () => {
    const had = arrival(randomUUID());
    await inbox.applierOf().apply([had], LIMIT_MS);
    const calls = countCalls();
    await inbox.applier.apply([had], LIMIT_MS);
    expect(calls).toEqual([subjectOf(had)]);
    expect(await inbox.seenOf(subjectOf(had))).toEqual(['1']);
    expect(await inbox.applied()).toBe(1);
    await inbox.applier.apply([had], LIMIT_MS); // it looks first for a while
    expect(calls).toHaveLength(1);
  });

  it('does not hand on what it remembers, nor what was delivered or replayed before, if it had it', async () => {
    const [had, other, history] = users(3);
    await inbox.applier.apply([had!], LIMIT_MS);
    await inbox.applierOf().apply([other!, history!], LIMIT_MS);
    const calls = countCalls();
    await inbox.applier.apply([had!], LIMIT_MS);
    await inbox.applier.apply([{ ...other!, redelivered: true }], LIMIT_MS);
    await inbox.applier.apply([{ ...history!, replayed: true }], LIMIT_MS);
    expect(calls).toEqual([]);
    expect(await inbox.seen()).toHaveLength(3);
    expect(await inbox.applied()).toBe(3);
  });

  it('applies an event of a foreign producer once, by its source and id, whatever else it carries', async () => {
    const foreign = (source: string, id: string): Item => {
      const { envelope } = arrival(randomUUID());
      const { specversion, type, data } = envelope;
      return { envelope: { kind: 'foreign', specversion, source, id, type, data } };
    };
    const [id, other] = [randomUUID(), randomUUID()];
    await inbox.applier.apply([foreign('/crm', id), foreign('/crm', id), foreign('/crm', other)], LIMIT_MS);
    expect(await inbox.seen()).toHaveLength(2);
    await inbox.applier.apply([foreign('/crm', id)], LIMIT_MS);
    expect(await inbox.seen()).toHaveLength(2);
    await inbox.applier.apply([foreign('/erp', id)], LIMIT_MS);
    expect(await inbox.seen()).toHaveLength(3);
    await inbox.applier.apply([foreign('/crm a', 'b'), foreign('/crm', 'a b')], LIMIT_MS);
    expect(await inbox.seen()).toHaveLength(5);
    expect(await inbox.applied()).toBe(0); // they are in nobody's books
  });

  it('applies a parked event of a foreign producer once, although two processes have it', async () => {
    const { specversion, type, data } = arrival(randomUUID()).envelope;
    const envelope = { kind: 'foreign', specversion, source: '/crm', id: randomUUID(), type, data } as const;
    inbox.handle = () => Promise.reject(new Error('not now'));
    await inbox.applier.apply([{ envelope }], LIMIT_MS);
    const [row] = await inbox.rows<{ id: string }>('select id from messaging.parked_events');
    const again = (): Item => ({ envelope: { ...envelope }, parked: { id: row!.id, attempts: 1, state: 'retry' } });
    let letGo = (): void => {};
    const latch = new Promise<void>((resolve) => (letGo = resolve));
    let settled = 0; // in the reaction, or through without it
    inbox.handle = (event, tx) => (settled++, Promise.all([see(event, tx), latch]));
    const both = [inbox.applier, inbox.applierOf()].map((applier) => applier.apply([again()], LIMIT_MS));
    for (const one of both) void one.then(() => settled++);
    await eventually(() => expect(settled).toBe(2));
    letGo();
    await Promise.all(both);
    await inbox.applier.apply([again()], LIMIT_MS); // or its commit
    expect(await inbox.seen()).toHaveLength(1);
    expect(await inbox.parked()).toEqual([]);
  });

  it('parks what comes too early, whatever its order, and applies nothing of it', async () => {
    const userId = randomUUID();
    const [one, two, three] = stream(userId, 3);
    await inbox.applier.apply([three!, two!], LIMIT_MS);
    expect(await inbox.parked()).toMatchObject([
      { sequence: 2, state: 'waiting', attempts: 0 },
      { sequence: 3, state: 'waiting', attempts: 0 },
    ]);
    await inbox.applier.apply([one!], LIMIT_MS);
    expect(await inbox.seenOf(userId)).toEqual(['1']);
  });

  it('while it pulls history, parks what history brings too early, not what comes again by it', async () => {
    const [userId, other] = [randomUUID(), randomUUID()];
    const [one, two] = stream(userId, 2);
    inbox.catchingUp = true;
    await inbox.applier.apply([{ ...two!, replayed: true }, ...stream(other, 3, 2)], LIMIT_MS);
    expect(await inbox.parked()).toMatchObject([{ subject: userId, sequence: 2, state: 'waiting', attempts: 0 }]);
    await inbox.applier.apply([{ ...one!, replayed: true }], LIMIT_MS);
    expect([await inbox.seenOf(userId), await inbox.seenOf(other)]).toEqual([['1'], []]);
  });

  it('while it pulls history, keeps what comes behind a failing event, which history would bring in vain', async () => {
    const userId = randomUUID();
    inbox.handle = () => Promise.reject(new Error('not now'));
    inbox.catchingUp = true;
    const arrived = async () => (await inbox.parked()).map(({ sequence }) => sequence);
    await inbox.applier.apply(stream(userId, 2), LIMIT_MS);
    expect(await arrived()).toEqual([1, 2]);
    await inbox.applier.apply(stream(userId, 4, 3), LIMIT_MS);
    expect(await arrived()).toEqual([1, 2, 3, 4]);
  });

  /** Fails for these users, after it has written something. */
  const failFor = (culprits: readonly string[], fail: Handle) => {
    inbox.handle = async (event, tx) => {
      await see(event, tx);
      if (culprits.includes(event.userId)) await fail(event, tx);
    };
  };
  const failures: [string, Handle, RegExp][] = [
    ['has a parameter too many', (_, tx) => tx.query('select $1::int', [1, 2]), /bind message supplies 2 parameters/],
    ['throws', () => Promise.reject(new Error('out of paper')), /out of paper/],
    [
      'throws what is no error',
      async () => {
        // eslint-disable-next-line @typescript-eslint/only-throw-error -- others do it
        throw await Promise.resolve('paper');
      },
      /paper/,
    ],
    ['throws an error with text that cannot be stored', () => Promise.reject(new Error('a\0b\ud800c')), /ab.c/],
    ['violates a constraint', (_, tx) => tx.query('insert into seen (name) values (null)'), /null value/],
    ['catches the SQL error', (_, tx) => tx.query('select 1 / 0').catch(() => {}), /division by zero/],
    [
      'catches it and goes on writing',
      async (event, tx) => {
        await tx.query('select 1 / 0').catch(() => {});
        await see(event, tx).catch(() => {});
      },
      /division by zero/,
    ],
  ];

  it.each(failures)(
    'parks an event whose reaction %s, keeps nothing of it, and applies its neighbours',
    async (_, fail, error) => {
      const batch = users(20);
      const culprit = subjectOf(batch[7]!);
      failFor([culprit], fail);
      await inbox.applier.apply([...batch, ...stream(culprit, 3, 2)], LIMIT_MS);
      expect(await inbox.parked()).toMatchObject([
        { subject: culprit, sequence: 1, state: 'retry', attempts: 1, error: expect.stringMatching(error) },
        { subject: culprit, sequence: 2, state: 'waiting', attempts: 0 },
        { subject: culprit, sequence: 3, state: 'waiting', attempts: 0 },
      ]);
      expect(await inbox.seenOf(culprit)).toEqual([]);
      expect(await inbox.seen()).toHaveLength(19);
      expect(await inbox.gateOf(culprit)).toBeUndefined();
      expect(await inbox.applied()).toBe(19);
    },
  );

  it.each(failures.slice(0, 5))('finds three culprits among a hundred: the reaction %s', async (_, fail) => {
    const batch = users(100);
    const culprits = [3, 50, 99].map((i) => subjectOf(batch[i]!));
    failFor(culprits, fail);
    await inbox.applier.apply(batch, LIMIT_MS);
    expect((await inbox.parked()).map(({ subject }) => subject)).toEqual([...culprits].sort());
    expect(await inbox.seen()).toHaveLength(97);
    expect(await inbox.applied()).toBe(97);
  });

  const methods: [string, () => unknown][] = [
    [
      'throws at once',
      () => {
        throw new Error('out of paper');
      },
    ],
    ['returns an Observable that fails', () => throwError(() => new Error('out of paper'))],
    ['promises an Observable that fails', () => Promise.resolve(throwError(() => new Error('out of paper')))],
  ];
  it.each(methods)('parks an event whose @EventPattern method %s', async (_, fail) => {
    const batch = users(3);
    const culprit = subjectOf(batch[1]!);
    inbox.onEvent = (event, bus) => ((event as UserRegistered).userId === culprit ? fail() : handOn(event, bus));
    await inbox.applier.apply(batch, LIMIT_MS);
    expect(await inbox.parked()).toMatchObject([
      { subject: culprit, attempts: 1, error: expect.stringMatching(/out of paper/) },
    ]);
    expect(await inbox.seen()).toHaveLength(2);
  });

  it('waits for the Observable that an @EventPattern method returns', async () => {
    inbox.onEvent = (event, bus) => timer(20).pipe(concatMap(() => handOn(event, bus)));
    await inbox.applier.apply(users(3), LIMIT_MS);
    expect(await inbox.seen()).toHaveLength(3);
  });

  const deadlocks = (times: number): Handle => {
    let met = 0;
    return async (_, tx) => {
      if (met++ < times) await tx.query(`do $$ begin raise 'deadlock detected' using errcode = '40P01'; end $$`);
    };
  };

  it('does a batch again after a deadlock, which is nobody’s fault', async () => {
    const batch = users(10);
    failFor([subjectOf(batch[4]!)], deadlocks(2));
    await inbox.applier.apply(batch, LIMIT_MS);
    expect(await inbox.seen()).toHaveLength(10);
    expect(await inbox.parked()).toEqual([]);
  });

  it('does events one by one for a while after a batch was in the way of others, then together again', async () => {
    const transactions = async () => {
      const [row] = await inbox.rows<{ n: number }>('select count(distinct xmin::text)::int as n from seen');
      await inbox.rows('truncate seen');
      return row!.n;
    };
    const batch = users(10);
    failFor([subjectOf(batch[4]!)], deadlocks(1));
    await inbox.applier.apply(batch, LIMIT_MS);
    expect(await transactions()).toBe(10);
    await inbox.applier.apply(users(190), LIMIT_MS);
    expect(await transactions()).toBe(190);
    await inbox.applier.apply(users(10), LIMIT_MS);
    expect(await transactions()).toBe(1);
  });

  it('parks an event that deadlocks again and again, without counting an attempt', async () => {
    const batch = users(3);
    failFor([subjectOf(batch[1]!)], deadlocks(Infinity));
    await inbox.applier.apply(batch, LIMIT_MS);
    expect(await inbox.parked()).toMatchObject([{ subject: subjectOf(batch[1]!), state: 'retry', attempts: 0 }]);
    expect(await inbox.seen()).toHaveLength(2);
  });

  it('parks an event whose reaction hangs as slow; what it writes too late is not stored', async () => {
    const batch = users(10);
    const culprit = subjectOf(batch[5]!);
    let finish = () => {};
    const mayFinish = new Promise<void>((resolve) => (finish = resolve));
    const lateWrites: Promise<unknown>[] = [];
    inbox.handle = (event, tx) => {
      if (event.userId !== culprit) return see(event, tx);
      const late = mayFinish.then(() => see({ ...event, name: 'too late' }, tx));
      lateWrites.push(late);
      late.catch(() => {});
      return late;
    };
    await inbox.applier.apply(batch, 200);
    expect(await inbox.parked()).toMatchObject([
      { subject: culprit, state: 'slow', attempts: 0, error: expect.stringMatching(/longer than 200 ms/) },
    ]);
    expect(await inbox.seen()).toHaveLength(9);
    finish();
    expect(lateWrites).toHaveLength(1);
    await expect(lateWrites[0]).rejects.toThrow(TransactionClosedError);
    expect(await inbox.seenOf(culprit)).toEqual([]);
  });

  it('never uses the connection of a reaction that hangs again: it may still be sending', async () => {
    const hung: number[] = [];
    const used: number[] = [];
    const pidOf: Handle = async (event, tx) => {
      const { rows } = await tx.query<{ pid: number }>('select pg_backend_pid() as pid');
      (event.name === 'hangs' ? hung : used).push(rows[0]!.pid);
      if (event.name === 'hangs') await new Promise(() => {});
    };
    inbox.handle = pidOf;
    const data = { userId: randomUUID(), name: 'hangs', email: 'test@example.com' };
    await inbox.applier.apply([arrival(data.userId, 1, { data })], 100);
    for (let i = 0; i < 5; i++) await inbox.applier.apply(users(2), LIMIT_MS);
    expect(hung).toHaveLength(1);
    expect(used).toHaveLength(10);
    expect(used).not.toContain(hung[0]);
  });

  it('does not wait for a statement that hangs, nor let it commit', async () => {
    const batch = users(5);
    const culprit = subjectOf(batch[2]!);
    failFor([culprit], (event, tx) => tx.query('select pg_sleep(3)').then(() => see(event, tx)));
    await inbox.applier.apply(batch, 200);
    expect(await inbox.seenOf(culprit)).toEqual([]);
    const parked = await inbox.parked();
    // A connection does one thing at a time: who was queued behind the statement is slow, too, and done by the workers.
    expect(parked).toContainEqual(expect.objectContaining({ subject: culprit, state: 'slow' }));
    expect(new Set(parked.map(({ state }) => state))).toEqual(new Set(['slow']));
    expect((await inbox.seen()).length + parked.length).toBe(5);
  });

  it('leaves everything as it was if the database goes away, and applies it when called again', async () => {
    const batch = users(5);
    let cut = false;
    failFor([subjectOf(batch[3]!)], async (_, tx) => {
      if (cut) return;
      cut = true;
      const { rows } = await tx.query<{ pid: number }>('select pg_backend_pid() as pid');
      await inbox.outside.query('select pg_terminate_backend($1)', [rows[0]!.pid]);
      await tx.query('select 1');
    });
    await expect(inbox.applier.apply(batch, LIMIT_MS)).rejects.toThrow();
    expect(await inbox.seen()).toEqual([]);
    expect(await inbox.parked()).toEqual([]);
    await inbox.applier.apply(batch, LIMIT_MS);
    expect(await inbox.seen()).toHaveLength(5);
  });

  it('applies everything once if two processes get the same batches at the same time', async () => {
    for (let round = 0; round < 5; round++) {
      const batch = [...users(20), ...stream(randomUUID(), 10)];
      await Promise.all([batch, batch, batch].map((same) => inbox.applier.apply(same, LIMIT_MS)));
      inbox.startWorker();
      await inbox.isEmpty(); // what one of them parked because the other had its stream
      expect(await inbox.seen()).toHaveLength(30 * (round + 1));
      expect(await inbox.applied()).toBe(30 * (round + 1));
    }
  });

  it('holds a log that contradicts what was applied, and lets others through', async () => {
    const userId = randomUUID();
    await inbox.applier.apply([arrival(userId)], LIMIT_MS);
    const forged = arrival(userId);
    const next = arrival(randomUUID());
    await inbox.applier.apply([forged, next], LIMIT_MS);
    expect([...inbox.holds.all.values()]).toEqual([expect.stringMatching(/two events with sequence 1/)]);
    expect(await inbox.parked()).toMatchObject([{ subject: subjectOf(next), state: 'waiting' }]);
    const elsewhere = arrival(randomUUID(), 1, { epoch: randomUUID() });
    await inbox.applier.apply([elsewhere], LIMIT_MS);
    expect(await inbox.seen()).toHaveLength(2);
  });

  it('does not park what it has applied, however many come again while their log is held', async () => {
    const [had, fresh] = [users(60), users(2)];
    await inbox.applierOf().apply(had, LIMIT_MS); // another process: nobody here remembers it
    const { source, epoch } = had[0]!.envelope as LoggedEvent;
    await inbox.holds.hold(source, epoch, 'fork');
    await inbox.applier.apply([...had, ...fresh], LIMIT_MS);
    expect((await inbox.parked()).map(({ subject }) => subject).sort()).toEqual(fresh.map(subjectOf).sort());
  });

  it('drops what still comes of a log that was closed, and what others park of it meanwhile', async () => {
    const userId = randomUUID();
    const { source, epoch } = arrival(userId).envelope as LoggedEvent;
    await inbox.holds.hold(source, epoch, 'fork');
    await inbox.applier.apply([arrival(userId)], LIMIT_MS);
    expect(await inbox.parked()).toHaveLength(1);
    await inbox.rows('update messaging.inbox_holds set closed_at = now()');
    await inbox.holds.refresh();
    expect(await inbox.parked()).toEqual([]);
    await inbox.applier.apply([arrival(userId), arrival(randomUUID())], LIMIT_MS);
    expect(await inbox.parked()).toEqual([]);
    expect(await inbox.seen()).toEqual([]);
    expect(await inbox.applied()).toBe(0);
  });
});
