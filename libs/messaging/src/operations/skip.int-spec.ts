import { randomUUID } from 'node:crypto';
import { eventually } from '@app/testing';
import { Client } from 'pg';
import { alice, startOperations, type OperationsFixture } from './operations.fixture.js';
import { skipGroup, skipParked } from './parked-skip.js';

let it_: OperationsFixture;
beforeEach(async () => (it_ = await startOperations()));
afterEach(() => it_.stop());

const dry = { ...alice, dryRun: true };

describe('skip', () => {
  it('moves gate and books over the event and makes its successor due', async () => {
    const subject = randomUUID();
    await it_.gateAt(subject, 4);
    const id = await it_.parked({ subject, sequence: 5, state: 'dead', page: 9 });
    const next = await it_.parked({ subject, sequence: 6, state: 'waiting' });
    const later = await it_.parked({ subject, sequence: 7, state: 'retry' });
    await skipParked(it_.database, id, alice);
    expect(await it_.row(id)).toBeUndefined();
    expect(await it_.gateOf(subject)).toBe(5);
    expect(await it_.pages()).toEqual({ 9: 1 });
    expect(await it_.row(next)).toMatchObject({ due: true });
    expect(await it_.row(later)).toMatchObject({ due: false });
    expect(await it_.audit()).toMatchObject([
      { who: 'alice', action: 'parked.skip', affected: 1, reason: 'because', parameters: { id, subject, sequence: 5 } },
    ]);
  });

  it('lets the next event of the stream through and only that one: the gate remembers which one was skipped', async () => {
    const subject = randomUUID();
    const id = await it_.parked({ subject, sequence: 1 });
    const [{ event_id }] = (await it_.rows<{ event_id: string }>('select event_id from messaging.parked_events')) as [
      { event_id: string },
    ];
    await skipParked(it_.database, id, alice);
    expect(await it_.rows('select last_sequence::int as last, last_event_id from messaging.inbox_streams')).toEqual([
      { last: 1, last_event_id: event_id },
    ]);
  });

  it('adds to what the page counts already', async () => {
    for (let i = 0; i < 2; i++) await skipParked(it_.database, await it_.parked({ page: 3 }), alice);
    expect(await it_.pages()).toEqual({ 3: 2 });
  });

  it('changes nothing as a dry run', async () => {
    const subject = randomUUID();
    const id = await it_.parked({ subject });
    expect(await skipParked(it_.database, id, dry)).toEqual({ affected: 1 });
    expect(await skipGroup(it_.database, {}, dry)).toMatchObject({ affected: 1 });
    expect([await it_.gateOf(subject), await it_.pages(), await it_.audit()]).toEqual([0, {}, []]);
    expect(await it_.row(id)).toBeDefined();
  });

  it('has no effect if it cannot be written into the audit', async () => {
    const subject = randomUUID();
    const id = await it_.parked({ subject });
    await it_.rows('alter table messaging.audit rename to gone');
    await expect(skipParked(it_.database, id, alice)).rejects.toThrow('audit');
    expect([await it_.gateOf(subject), await it_.pages()]).toEqual([0, {}]);
    expect(await it_.row(id)).toBeDefined();
  });

  it('only removes an event that the gate is past, without counting it', async () => {
    const subject = randomUUID();
    await it_.gateAt(subject, 5);
    const id = await it_.parked({ subject, sequence: 5, state: 'dead' });
    await skipParked(it_.database, id, alice);
    expect(await it_.row(id)).toBeUndefined();
    expect([await it_.gateOf(subject), await it_.pages()]).toEqual([5, {}]);
  });

  it('refuses an event that is not next, and says what is', async () => {
    const subject = randomUUID();
    const head = await it_.parked({ subject, sequence: 2 });
    const behind = await it_.parked({ subject, sequence: 3 });
    await expect(skipParked(it_.database, behind, alice)).rejects.toThrow(`waits behind event ${head}`);
    await expect(skipParked(it_.database, head, alice)).rejects.toThrow('sequence 1 has not arrived');
    const single = await it_.parked({ sequence: null });
    await expect(skipParked(it_.database, single, alice)).rejects.toThrow(`parked discard ${single}`);
    expect([await it_.gateOf(subject), await it_.pages(), await it_.audit()]).toEqual([0, {}, []]);
  });

  it('is done once if two operators do it at the same moment', async () => {
    for (const last of [0, 4]) {
      const subject = randomUUID();
      if (last) await it_.gateAt(subject, last);
      const id = await it_.parked({ subject, sequence: last + 1, page: 100 + last });
      const results = await Promise.allSettled([1, 2, 3].map(() => skipParked(it_.database, id, alice)));
      expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
      expect(await it_.gateOf(subject)).toBe(last + 1);
      expect(await it_.pages()).toMatchObject({ [100 + last]: 1 });
    }
    expect(await it_.audit()).toHaveLength(2);
  });

  it('waits for a worker that is at the stream, and gives way to it', async () => {
    const subject = randomUUID();
    await it_.gateAt(subject, 4);
    const id = await it_.parked({ subject, sequence: 5 });
    const worker = new Client({ connectionString: it_.url });
    await worker.connect();
    try {
      await worker.query('begin');
      await worker.query('select from messaging.inbox_streams where subject = $1 for update', [subject]);
      const skipping = skipParked(it_.database, id, alice);
      skipping.catch(() => {});
      await eventually(async () => {
        const waiting = await it_.rows(
          `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
        );
        expect(waiting).toHaveLength(1);
      });
      await worker.query('delete from messaging.parked_events where id = $1', [id]);
      await worker.query('update messaging.inbox_streams set last_sequence = 5 where subject = $1', [subject]);
      await worker.query('commit');
      await expect(skipping).rejects.toThrow('it went through');
      expect([await it_.gateOf(subject), await it_.pages(), await it_.audit()]).toEqual([5, {}, []]);
    } finally {
      await worker.end();
    }
  });

  it('gives up after a few seconds on an event that a worker does not let go', async () => {
    const subject = randomUUID();
    await it_.gateAt(subject, 4);
    const id = await it_.parked({ subject, sequence: 5 });
    const worker = new Client({ connectionString: it_.url });
    await worker.connect();
    try {
      await worker.query('begin');
      await worker.query('select from messaging.inbox_streams where subject = $1 for update', [subject]);
      await expect(skipParked(it_.database, id, alice)).rejects.toThrow('being worked on right now');
    } finally {
      await worker.end();
    }
  });

  it('of a group skips the first of each stream that matches, and no more', async () => {
    const [one, other] = [randomUUID(), randomUUID()];
    await it_.parked({ subject: one, sequence: 1, state: 'dead' });
    const behind = await it_.parked({ subject: one, sequence: 2, state: 'dead' });
    const gap = await it_.parked({ subject: other, sequence: 2, state: 'dead' });
    const healthy = await it_.parked({ state: 'retry' });
    const effect = await skipGroup(it_.database, { state: 'dead' }, alice);
    expect(effect).toMatchObject({ affected: 1, behind: 1, refused: [{ id: gap }] });
    expect(await it_.row(behind)).toBeDefined();
    expect(await it_.row(healthy)).toMatchObject({ due: false });
    expect([await it_.gateOf(one), await it_.gateOf(other)]).toEqual([1, 0]);
  });
});
