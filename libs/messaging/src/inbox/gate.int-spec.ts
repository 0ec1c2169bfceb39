import { randomUUID } from 'node:crypto';
import { runInContext } from '@app/context';
import { Database, type Transaction } from '@app/database';
import type { LoggedEvent } from '../cloud-event.js';
import { Gate, NEVER_ARRIVED, StaleGateError, ForkError, type GateTrust } from './gate.js';
import { arrival, startInbox, type InboxFixture } from './inbox.fixture.js';

describe('Gate', () => {
  let inbox: InboxFixture;
  let database: Database;
  beforeAll(async () => {
    inbox = await startInbox();
    database = new Database({ url: inbox.url, applicationName: 'gate' });
  });
  afterAll(async () => {
    await database?.close();
    await inbox?.stop();
  });
  beforeEach(() => inbox.clear());

  const at = (subject: string, sequence: number, changes: Partial<LoggedEvent> = {}): LoggedEvent =>
    arrival(subject, sequence, changes).envelope as LoggedEvent;
  /** Lets through what may pass, in a transaction. @returns the verdict on each event */
  const pass = (events: readonly LoggedEvent[], name = 'orders', trust?: GateTrust) =>
    database.transaction(async (tx) => {
      const gate = await Gate.open(tx, name, events, trust);
      const verdicts = events.map((event) => {
        const verdict = gate.judge(event);
        if (verdict === 'next') gate.advance(event);
        return verdict;
      });
      await gate.write(tx);
      return verdicts;
    });

  it('lets the sequence 1, 2, 3 … through, alone or together, and drops the rest', async () => {
    expect(await pass([at('a', 1)])).toEqual(['next']);
    expect(await pass([2, 3, 4].map((n) => at('a', n)))).toEqual(['next', 'next', 'next']);
    expect(await pass([1, 2, 3].map((n) => at('a', n)))).toEqual(['duplicate', 'duplicate', 'duplicate']);
    expect(await inbox.gateOf('a')).toBe(4);
  });

  it('finds copies and gaps within one batch', async () => {
    const [one, two] = [at('a', 1), at('a', 2)];
    expect(await pass([one, one, two, at('a', 4), one, at('a', 5), two])).toEqual([
      'next',
      'duplicate',
      'next',
      'ahead',
      'duplicate',
      'ahead',
      'duplicate',
    ]);
    expect(await inbox.gateOf('a')).toBe(2);
  });

  it('reads no rows but those of its streams, however many these are', async () => {
    const subjects = Array.from({ length: 5_000 }, (_, n) => `s${n}`);
    await pass(subjects.map((subject) => at(subject, 1)));
    const fresh = new Database({ url: inbox.url, applicationName: 'gate' }); // whose first statements are planned for their values
    try {
      await inbox.rows('analyze messaging.inbox_streams');
      await fresh.transaction(async (tx) => {
        const second = subjects.slice(0, 4_000).map((subject) => at(subject, 2));
        const gate = await Gate.open(tx, 'orders', second);
        for (const event of second) gate.advance(event);
        await gate.write(tx);
        const sql = `select seq_scan::int as scans, n_tup_upd::int as updated from pg_stat_xact_user_tables where relname = 'inbox_streams'`;
        expect((await tx.query(sql)).rows).toEqual([{ scans: 0, updated: 4_000 }]);
      });
    } finally {
      await fresh.close();
    }
  });

  it('stops behind an event that is held, in its stream only', async () => {
    await database.transaction(async (tx) => {
      const [one, two, other] = [at('a', 1), at('a', 2), at('b', 1)];
      const gate = await Gate.open(tx, 'orders', [one, two, other]);
      expect(gate.judge(one)).toBe('next');
      gate.hold(one);
      expect(gate.judge(one)).toBe('ahead'); // a copy of it, in the same batch
      expect(gate.judge(two)).toBe('ahead');
      expect(gate.judge(other)).toBe('next');
    });
  });

  it.each<[string, Partial<LoggedEvent>, string]>([
    ['source', { source: '/crm' }, 'orders'],
    ['epoch', { epoch: randomUUID() }, 'orders'],
    ['aggregate', { type: 'users.team.founded.v1' }, 'orders'],
    ['inbox', {}, 'orders.reports'],
  ])('keeps a stream for each %s', async (_, changes, name) => {
    await pass([at('a', 1), at('a', 2)]);
    expect(await pass([at('a', 1, changes), at('a', 2, changes)], name)).toEqual(['next', 'next']);
  });

  it('recognises a fork: the last sequence again, with another event', async () => {
    const one = at('a', 1);
    await pass([one]);
    await expect(pass([at('a', 1)])).rejects.toThrow(ForkError);
    await expect(pass([at('a', 1)])).rejects.toMatchObject({ source: '/users', epoch: one.epoch });
    await expect(pass([at('b', 1), at('b', 1)])).rejects.toThrow(ForkError); // within a batch, too
    expect(await pass([one])).toEqual(['duplicate']);
  });

  it('takes an event that was skipped before it ever arrived for a copy', async () => {
    await pass([at('a', 1, { id: NEVER_ARRIVED })]);
    expect(await pass([at('a', 1), at('a', 2)])).toEqual(['duplicate', 'next']);
  });

  /** Somebody else has the stream's row, and does not let go while `work` runs. */
  const whileLocked = (work: () => Promise<void>) =>
    database.transaction(async (tx) => {
      await tx.query('select from messaging.inbox_streams for update');
      await outOf(tx, work);
    });

  it('does not wait for a row that somebody else has: what comes next is ahead for now', async () => {
    await pass([at('a', 1)]);
    await whileLocked(async () => expect(await pass([at('a', 2), at('b', 1)])).toEqual(['ahead', 'next']));
    expect(await pass([at('a', 2)])).toEqual(['next']);
  });

  it('is stale if one of many streams was there already, whatever else stands behind the one that was refused', async () => {
    const one = at('a', 1);
    await pass([one, at('b', 1)]);
    await expect(pass([one, at('b', 2)], 'orders', 'firsts')).rejects.toThrow(StaleGateError);
    expect(await pass([one, at('b', 2)])).toEqual(['duplicate', 'next']);
  });

  it('does not take a stream that somebody else has for a new one: stale at first, then a look tells', async () => {
    const one = at('a', 1);
    await pass([one]);
    await whileLocked(async () => {
      await expect(pass([one, at('b', 1)])).rejects.toThrow(StaleGateError);
      expect(await pass([one, at('a', 2), at('b', 1)], 'orders', 'nobody')).toEqual(['duplicate', 'ahead', 'next']);
    });
    expect(await inbox.gateOf('b')).toBe(1);
  });

  it('takes a first event for new without a look, and is stale if it is not', async () => {
    expect(await pass([at('a', 1), at('a', 2)], 'orders', 'firsts')).toEqual(['next', 'next']);
    expect(await pass([at('b', 1), at('a', 3)], 'orders', 'firsts')).toEqual(['next', 'next']);
    await expect(pass([at('c', 1), at('a', 1)], 'orders', 'firsts')).rejects.toThrow(StaleGateError);
    expect([await inbox.gateOf('a'), await inbox.gateOf('b'), await inbox.gateOf('c')]).toEqual([3, 1, undefined]);
  });

  it('refuses a decision that was made on rows that have changed since', async () => {
    const decided = barrier(2);
    const race = (event: LoggedEvent) =>
      database.transaction(async (tx) => {
        const gate = await Gate.open(tx, 'orders', [event]);
        gate.advance(event);
        await decided.pass(); // both have seen that there is no row
        await gate.write(tx);
      });
    const event = at('new', 1);
    const results = await Promise.allSettled([race(event), race(event)]);
    expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    expect(results).toContainEqual({ status: 'rejected', reason: expect.any(StaleGateError) as Error });
    expect(await inbox.gateOf('new')).toBe(1);
  });
});

/** Runs `work` beside the open transaction instead of joining it. */
async function outOf(tx: Transaction, work: () => Promise<void>): Promise<void> {
  await runInContext({ correlationId: '' }, work);
  expect(tx.failure).toBeUndefined();
}

/** Lets everybody wait until `count` have come. */
function barrier(count: number) {
  let open = () => {};
  const opened = new Promise<void>((resolve) => (open = resolve));
  return {
    pass: () => {
      if (--count <= 0) open();
      return opened;
    },
  };
}
