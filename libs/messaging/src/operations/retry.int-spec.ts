import { randomUUID } from 'node:crypto';
import { alice, startOperations, TYPE, type OperationsFixture } from './operations.fixture.js';
import { listParked } from './parked-query.js';
import { retryGroup, retryParked } from './parked-retry.js';

let it_: OperationsFixture;
beforeEach(async () => (it_ = await startOperations()));
afterEach(() => it_.stop());

const dry = { ...alice, dryRun: true };

describe('retry', () => {
  it('makes an event due now, and gives a dead one all its attempts again', async () => {
    const waiting = await it_.parked();
    const dead = await it_.parked({ state: 'dead', attempts: 77, dueIn: null });
    await retryParked(it_.database, waiting, alice);
    await retryParked(it_.database, dead, alice);
    expect(await it_.row(waiting)).toEqual({ state: 'retry', attempts: 3, due: true, claimed: false });
    expect(await it_.row(dead)).toEqual({ state: 'retry', attempts: 0, due: true, claimed: false });
    expect(await it_.audit()).toMatchObject([
      {
        who: 'alice',
        action: 'parked.retry',
        affected: 1,
        reason: 'because',
        parameters: { id: waiting, sequence: 1 },
      },
      { action: 'parked.retry', parameters: { id: dead } },
    ]);
  });

  it('has no effect if it cannot be written into the audit', async () => {
    const id = await it_.parked();
    await it_.rows('alter table messaging.audit rename to gone');
    await expect(retryParked(it_.database, id, alice)).rejects.toThrow('audit');
    expect(await it_.row(id)).toMatchObject({ due: false });
  });

  it('changes nothing as a dry run, and leaves no trace', async () => {
    const id = await it_.parked({ state: 'dead' });
    expect(await retryParked(it_.database, id, dry)).toEqual({ affected: 1 });
    expect(await retryGroup(it_.database, {}, dry)).toMatchObject({ affected: 1 });
    expect(await it_.row(id)).toMatchObject({ state: 'dead', attempts: 3, due: false });
    expect(await it_.audit()).toEqual([]);
  });

  it('of an event that is not in front names the one that is', async () => {
    const subject = randomUUID();
    const head = await it_.parked({ subject, sequence: 1 });
    const id = await it_.parked({ subject, sequence: 2 });
    await expect(retryParked(it_.database, id, alice)).rejects.toThrow(`waits behind event ${head}`);
    expect(await it_.row(id)).toMatchObject({ due: false });
  });

  it('of an event whose predecessors never came names them', async () => {
    const subject = randomUUID();
    await it_.gateAt(subject, 3);
    const id = await it_.parked({ subject, sequence: 6, state: 'waiting', error: null });
    await expect(retryParked(it_.database, id, alice)).rejects.toThrow(
      `sequences 4 to 5 have not arrived. If the owner's log has them, replay brings them; if not: parked skip --missing /users users.user ${subject} 4`,
    );
  });

  it('leaves an event alone that a worker is trying, because to the worker it would look like a crash', async () => {
    const id = await it_.parked({ claimed: true, dueIn: 50 });
    await expect(retryParked(it_.database, id, alice)).rejects.toThrow('being tried right now');
    expect(await retryGroup(it_.database, {}, alice)).toMatchObject({ affected: 0 });
    expect(await it_.row(id)).toMatchObject({ claimed: true, due: false });
  });

  it('of a group tries the first of each stream and counts those behind', async () => {
    const subject = randomUUID();
    const head = await it_.parked({ subject, sequence: 1, state: 'dead' });
    const behind = await it_.parked({ subject, sequence: 2, state: 'dead' });
    const single = await it_.parked({ sequence: null });
    const other = await it_.parked({ error: 'TypeError: no' });
    expect(await retryGroup(it_.database, { error: 'Error: no' }, alice)).toEqual({
      affected: 3,
      behind: 1,
      refused: [],
    });
    expect(await it_.row(head)).toMatchObject({ state: 'retry', due: true });
    expect(await it_.row(behind)).toMatchObject({ state: 'dead', due: false });
    expect(await it_.row(single)).toMatchObject({ due: true });
    expect(await it_.row(other)).toMatchObject({ due: true }); // "TypeError: no" contains it
    expect(await it_.audit()).toMatchObject([{ action: 'parked.retry', affected: 3 }]);
  });

  it('goes through any number of events in batches, each with its line in the audit', async () => {
    await it_.rows(
      `insert into messaging.parked_events (inbox, source, epoch, aggregate, subject, sequence, event_id, type, state, due_at, body)
       select 'orders', '/users', gen_random_uuid(), 'users.user', n::text, 1, n::text, $1, 'dead', 'infinity', '{}'
       from generate_series(1, 2500) n`,
      TYPE,
    );
    expect(await retryGroup(it_.database, { state: 'dead' }, dry)).toMatchObject({ affected: 2500 });
    expect(await retryGroup(it_.database, { state: 'dead' }, alice)).toMatchObject({ affected: 2500 });
    expect((await it_.audit()).map(({ affected }) => affected)).toEqual([1000, 1000, 500]);
    expect(await listParked(it_.database, { state: 'dead' })).toEqual([]);
  });
});
