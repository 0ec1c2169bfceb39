import { randomUUID } from 'node:crypto';
import { alice, startOperations, type OperationsFixture } from './operations.fixture.js';
import { skipMissing } from './parked-skip.js';

let it_: OperationsFixture;
beforeEach(async () => (it_ = await startOperations()));
afterEach(() => it_.stop());

describe('skip --missing', () => {
  const source = 'users';
  const aggregate = 'users.user';

  it('lets the gate pass over a sequence that never came, and counts it only if its page is known', async () => {
    const subject = randomUUID();
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
    await it_.parked({ subject, sequence: 2, state: 'waiting' });
    await skipMissing(it_.database, { source, aggregate, subject, sequence: 1 }, alice);
    expect(await it_.gateOf(subject)).toBe(1);
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
    await it_.parked({ subject, sequence: 2 });
    await it_.parked({ subject, sequence: 2, inbox: 'orders.report' });
    const which = { source, aggregate, subject, sequence: 1 };
    await expect(skipMissing(it_.database, which, alice)).rejects.toThrow('--inbox orders.report --epoch');
    await skipMissing(it_.database, { ...which, inbox: 'orders.report' }, alice);
    const gates = await it_.rows('select inbox from messaging.inbox_streams');
    expect(gates).toEqual([{ inbox: 'orders.report' }]);
  });
});
