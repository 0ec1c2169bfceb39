import { randomUUID } from 'node:crypto';
import { eventually } from '@app/testing';
import { alice, startOperations, TYPE, type OperationsFixture } from './operations.fixture.js';
import { listParked, parkedGroups, showParked } from './parked-query.js';
import { retryGroup, retryParked } from './parked-retry.js';
import { discardParked } from './parked-skip.js';

let it_: OperationsFixture;
beforeEach(async () => (it_ = await startOperations()));
afterEach(() => it_.stop());

const dry = { ...alice, dryRun: true };

describe('parked events', () => {
  it('are listed oldest first, with the one in front of each stream marked', async () => {
    const subject = randomUUID();
    const second = await it_.parked({ subject, sequence: 2, state: 'waiting', error: null });
    const first = await it_.parked({ subject, sequence: 1 });
    const foreign = await it_.parked({ sequence: null });
    const events = await listParked(it_.database);
    expect(events.map(({ id, head }) => [id, head])).toEqual([
      [second, false],
      [first, true],
      [foreign, true],
    ]);
    expect(await listParked(it_.database, {}, { after: first })).toMatchObject([{ id: foreign }]);
    expect(await listParked(it_.database, {}, { limit: 1 })).toHaveLength(1);
  });

  it('are filtered by everything they have', async () => {
    const subject = randomUUID();
    const wanted = await it_.parked({ subject, error: 'TypeError: x is undefined\n  at y', inbox: 'orders.report' });
    await it_.parked({ type: 'users.user.other.v1', state: 'dead', error: 'RangeError: z' });
    for (const filter of [
      { subject },
      { error: 'typeerror' },
      { type: TYPE },
      { state: 'retry' },
      { inbox: 'orders.report' },
      { source: 'users', subject },
      { source: '/users', subject },
    ]) {
      expect([filter, (await listParked(it_.database, filter)).map(({ id }) => id)]).toEqual([filter, [wanted]]);
    }
    // Only the first line counts, and signs that mean something to SQL do not.
    for (const error of ['at y', '%', '_']) expect(await listParked(it_.database, { error })).toEqual([]);
    expect(await listParked(it_.database, { source: 'orders' })).toEqual([]);
  });

  it('fall into one group if their errors differ only in ids and numbers', async () => {
    for (const order of [12, 345])
      await it_.parked({ error: `Error: no order ${order} of ${randomUUID()}`, attempts: order });
    await it_.parked({ error: 'Error: no order', state: 'dead' });
    await it_.parked({ error: 'Error: no order 12', type: 'users.user.other.v1' });
    const groups = await parkedGroups(it_.database);
    expect(groups.map(({ events, dead, attempts, type }) => [events, dead, attempts, type])).toEqual([
      [2, 0, 345, TYPE],
      [1, 1, 3, TYPE],
      [1, 0, 3, 'users.user.other.v1'],
    ]);
    const { group } = groups[0]!;
    expect(await listParked(it_.database, { group })).toHaveLength(2);
  });

  it('are shown with their contents and where their stream stands', async () => {
    const subject = randomUUID();
    await it_.gateAt(subject, 4);
    const head = await it_.parked({ subject, sequence: 5 });
    const id = await it_.parked({ subject, sequence: 6, error: 'Error: a\n    at b' });
    expect(await showParked(it_.database, id)).toMatchObject({
      fullError: 'Error: a\n    at b',
      event: { subject, sequence: 6 },
      stream: { applied: 4, headId: head, headSequence: 5, parked: 2 },
    });
    const raw = await it_.unreadable(Buffer.from([0xff, 0x00]));
    expect((await showParked(it_.database, raw)).raw).toEqual(Buffer.from([0xff, 0x00]));
    await expect(showParked(it_.database, '999999')).rejects.toThrow('no parked event 999999');
    await expect(showParked(it_.database, 'x')).rejects.toThrow('is a number');
  });
});

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

describe('a message that could not be read', () => {
  const content = (source: string, more: object = {}) =>
    JSON.stringify({ specversion: '1.0', id: randomUUID(), source, type: 'shop.thing.v1', data: { a: 1 }, ...more });

  it('is decoded again, and becomes an event that is due', async () => {
    const id = await it_.unreadable(content('/shop'));
    expect(await retryParked(it_.database, id, alice)).toEqual({ affected: 1, decoded: 1 });
    const [event] = await listParked(it_.database);
    expect(event).toMatchObject({
      state: 'retry',
      source: '/shop',
      type: 'shop.thing.v1',
      sequence: null,
      head: true,
    });
    await eventually(async () => expect(await it_.row(event!.id)).toMatchObject({ due: true }));
    expect(await it_.row(id)).toBeUndefined();
    expect(await it_.audit()).toMatchObject([{ action: 'parked.decode', parameters: { id, events: 1 } }]);
  });

  it('is dropped if the same foreign event was there before', async () => {
    const text = content('/shop');
    for (const expected of [1, 0]) {
      const id = await it_.unreadable(text);
      expect(await retryParked(it_.database, id, alice)).toEqual({ affected: 1, decoded: expected });
    }
    expect(await listParked(it_.database)).toHaveLength(1);
  });

  it('stays if it still cannot be read, alone and in a group', async () => {
    const id = await it_.unreadable('{');
    await expect(retryParked(it_.database, id, alice)).rejects.toThrow('still cannot be read: not valid JSON');
    const effect = await retryGroup(it_.database, { state: 'dead' }, alice);
    expect(effect).toEqual({
      affected: 0,
      behind: 0,
      refused: [{ id, reason: expect.stringContaining('still cannot') as string }],
    });
    expect(await it_.row(id)).toMatchObject({ state: 'dead' });
    expect(await it_.audit()).toEqual([]);
  });

  it('is discarded with its bytes kept in the audit; an event of a stream is not', async () => {
    const id = await it_.unreadable('{ broken');
    const event = await it_.parked();
    await discardParked(it_.database, id, dry);
    expect(await it_.row(id)).toBeDefined();
    await discardParked(it_.database, id, alice);
    expect(await it_.row(id)).toBeUndefined();
    const [entry] = await it_.audit();
    expect(Buffer.from(String(entry!.parameters.base64), 'base64').toString()).toBe('{ broken');
    await expect(discardParked(it_.database, event, alice)).rejects.toThrow(`parked skip ${event}`);
    await expect(discardParked(it_.database, id, alice)).rejects.toThrow('no parked event');
  });
});
