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
