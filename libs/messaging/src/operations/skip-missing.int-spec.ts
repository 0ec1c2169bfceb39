import { randomUUID } from 'node:crypto';
import { alice, EPOCH, startOperations, type OperationsFixture } from './operations.fixture.js';
import { skipMissing } from './parked-skip.js';

let it_: OperationsFixture;
beforeEach(async () => (it_ = await startOperations()));
afterEach(() => it_.stop());

describe('skip --missing', () => {
  const source = 'users';
  const aggregate = 'users.user';
  const comparedUpTo = (page: number) =>
    it_.rows(
      `insert into messaging.inbox_books (inbox, source, epoch, aggregate, balanced_page)
       select inbox, '/users', $1, 'users.user', $2 from unnest(array['orders', 'orders.report']) inbox`,
      EPOCH,
      page,
    );

  it('lets the gate pass over a sequence that never came, and counts it only if its page is known', async () => {
    const subject = randomUUID();
    await comparedUpTo(7);
    await it_.gateAt(subject, 2);
    const next = await it_.parked({ subject, sequence: 5, state: 'waiting' });
    await expect(skipMissing(it_.database, { source, aggregate, subject, sequence: 4 }, alice)).rejects.toThrow(
      'is 3, not 4',
    );
    await skipMissing(it_.database, { source, aggregate, subject, sequence: 3 }, alice);
    expect(await it_.row(next)).toMatchObject({ due: false });
    await skipMissing(it_.database, { source, aggregate, subject, sequence: 4, page: 12 }, alice);
    expect(await it_.row(next)).toMatchObject({ due: true });
    expect([await it_.gateOf(subject), await it_.pages()]).toEqual([4, { 12: 1 }]);
    expect(await it_.audit()).toMatchObject([
      { action: 'parked.skip-missing', parameters: { subject, sequence: 3 } },
      { action: 'parked.skip-missing', parameters: { subject, sequence: 4, page: 12 } },
    ]);
  });

  it('works at the very beginning of a stream', async () => {
    const subject = randomUUID();
    await comparedUpTo(7);
    await it_.parked({ subject, sequence: 2, state: 'waiting' });
    await skipMissing(it_.database, { source, aggregate, subject, sequence: 1 }, alice);
    expect(await it_.gateOf(subject)).toBe(1);
  });

  it('refuses what may still be pulled, and what a page would miss for ever', async () => {
    const subject = randomUUID();
    const which = { source, aggregate, subject, sequence: 1 };
    const give = (page?: number) => skipMissing(it_.database, { ...which, page }, alice);
    await it_.parked({ subject, sequence: 2, page: 7 });
    await expect(give()).rejects.toThrow('page 7, which it is in at the latest, is not compared');
    await comparedUpTo(8);
    for (const page of [5, 7, 8]) {
      await it_.rows(
        `insert into messaging.inbox_gaps values ('orders', '/users', $1, 'users.user', $2, 1, 1, 9, 0, now())`,
        EPOCH,
        page,
      );
    }
    await expect(give()).rejects.toThrow('page 5, 7 misses');
    expect([await it_.gateOf(subject), await it_.audit()]).toEqual([0, []]);
    await give(0);
    expect([await it_.gateOf(subject), await it_.pages()]).toEqual([1, {}]);
  });

  it('refuses what did arrive, and what nothing waits for', async () => {
    const subject = randomUUID();
    const id = await it_.parked({ subject, sequence: 1 });
    const which = { source, aggregate, subject, sequence: 1 };
    await expect(skipMissing(it_.database, which, alice)).rejects.toThrow(`parked skip ${id}`);
    const nowhere = { ...which, subject: randomUUID() };
    await expect(skipMissing(it_.database, nowhere, alice)).rejects.toThrow('nothing waits for a missing event');
    expect([await it_.gateOf(subject), await it_.audit()]).toEqual([0, []]);
  });

  it('asks which one is meant if several inboxes wait', async () => {
    const subject = randomUUID();
    await comparedUpTo(7);
    await it_.parked({ subject, sequence: 2 });
    await it_.parked({ subject, sequence: 2, inbox: 'orders.report' });
    const which = { source, aggregate, subject, sequence: 1 };
    await expect(skipMissing(it_.database, which, alice)).rejects.toThrow('--inbox orders.report --epoch');
    await skipMissing(it_.database, { ...which, inbox: 'orders.report' }, alice);
    const gates = await it_.rows('select inbox from messaging.inbox_streams');
    expect(gates).toEqual([{ inbox: 'orders.report' }]);
  });
});
