import { randomUUID } from 'node:crypto';
import { runInContext } from '@app/context';
import { event, UserRegistered } from '@app/contracts';
import { z } from 'zod';
import { MAX_EVENT_BYTES } from '../cloud-event.js';
import { noBroker, startOutbox, type OutboxFixture } from './outbox.fixture.js';
import { Outbox } from './outbox.js';
import { ENVELOPE_BYTES, EventRefusedError, EventTooLargeError } from './recordable.js';

class Noted extends event('users.note.written.v1', {
  subject: 'noteId',
  data: { noteId: z.string(), text: z.string() },
  example: { noteId: '1', text: '' },
}) {}
class OrderPlaced extends event('orders.order.placed.v1', {
  subject: 'orderId',
  data: { orderId: z.string() },
  example: { orderId: '1' },
}) {}

describe('Outbox.add', () => {
  let fixture: OutboxFixture;
  let outbox: Outbox;
  beforeAll(async () => {
    fixture = await startOutbox(noBroker);
    outbox = new Outbox(fixture.options(), fixture.relay()); // a relay that never runs: what is recorded stays
  });
  afterAll(() => fixture?.stop());
  beforeEach(() => fixture.pool.query('truncate messaging.events, messaging.outbox, messaging.streams'));

  const note = (noteId: string, text = '') => new Noted({ noteId, text });
  const add = (...events: object[]) =>
    fixture.database.transaction(async (tx) => {
      for (const one of events) await outbox.add(tx, one);
    });
  const recorded = () =>
    fixture.rows<{ subject: string; sequence: string; position: string; data: object }>(
      'select subject, sequence, position, data from messaging.events order by position',
    );

  it('records the event, its place in its stream, and that it is to be published', async () => {
    const userId = randomUUID();
    const given = { userId, name: 'Alice', email: 'alice@example.com' };
    const id = await fixture.database.transaction((tx) => outbox.add(tx, new UserRegistered(given)));
    const [row] = await fixture.rows(
      'select e.*, o.bytes from messaging.events e join messaging.outbox o using (position)',
    );
    expect(row).toMatchObject({
      id,
      type: UserRegistered.type,
      aggregate: 'users.user',
      subject: userId,
      sequence: '1',
    });
    expect(row).toMatchObject({ correlation_id: id, causation_id: null, traceparent: null, data: given });
    const [log] = await fixture.rows('select epoch, last_value as page from messaging.log, messaging.page');
    expect(row).toMatchObject(log!);
  });

  it('remembers what set it in motion', async () => {
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
    await runInContext({ correlationId: 'c1', causationId: 'e1', traceparent }, () => add(note('1')));
    expect(await fixture.rows('select correlation_id, causation_id, traceparent from messaging.events')).toEqual([
      { correlation_id: 'c1', causation_id: 'e1', traceparent },
    ]);
  });

  it('leaves out where it comes from, if no subscriber would take it', async () => {
    const long = 'a'.repeat(201);
    await runInContext({ correlationId: long, causationId: long, traceparent: long }, () => add(note('1')));
    const origin = `correlation_id = id::text as "isItsOwn", causation_id, traceparent`;
    expect(await fixture.rows(`select ${origin} from messaging.events`)).toEqual([
      { isItsOwn: true, causation_id: null, traceparent: null },
    ]);
  });

  it('numbers each stream 1, 2, 3 … without a gap, whoever writes and whoever rolls back', async () => {
    const subjects = ['a', 'b', 'c'];
    const committed = new Map(subjects.map((subject) => [subject, 0]));
    const writer = async (seed: number) => {
      for (let i = 0; i < 15; i++) {
        const subject = subjects[(seed + i) % subjects.length]!;
        const rollsBack = (seed * 3 + i * 7) % 5 === 0;
        const work = fixture.database.transaction(async (tx) => {
          await outbox.add(tx, note(subject, `${seed}/${i}`));
          if (rollsBack) throw new Error('rolled back');
          await outbox.add(tx, note(subject, `${seed}/${i} again`));
        });
        await work.then(
          () => committed.set(subject, committed.get(subject)! + 2),
          (error: Error) => expect(error.message).toBe('rolled back'),
        );
      }
    };
    await Promise.all(Array.from({ length: 16 }, (_, seed) => writer(seed)));
    const rows = await recorded();
    for (const subject of subjects) {
      // In the order of positions, which is the order in which they are published.
      const sequences = rows.filter((row) => row.subject === subject).map(({ sequence }) => Number(sequence));
      expect(sequences).toEqual(Array.from({ length: committed.get(subject)! }, (_, i) => i + 1));
      expect(sequences.length).toBeGreaterThan(50);
    }
    expect(await fixture.pending()).toBe(rows.length);
  });

  it('keeps two events of one transaction together, or neither', async () => {
    await add(note('a'), note('b'), note('a'));
    expect(await recorded()).toMatchObject([
      { subject: 'a', sequence: '1' },
      { subject: 'b', sequence: '1' },
      { subject: 'a', sequence: '2' },
    ]);
    await expect(add(note('a'), new OrderPlaced({ orderId: '1' }))).rejects.toThrow(EventRefusedError);
    expect(await recorded()).toHaveLength(3);
  });

  it('refuses what is not an event', async () => {
    await expect(add({ userId: randomUUID() })).rejects.toThrow(/not an event/);
  });

  it('takes an event of 256 KiB and refuses a larger one', async () => {
    const room = MAX_EVENT_BYTES - ENVELOPE_BYTES - Buffer.byteLength(JSON.stringify(note('1')));
    await add(note('1', 'x'.repeat(room)));
    await expect(add(note('1', 'x'.repeat(room + 1)))).rejects.toThrow(EventTooLargeError);
    await expect(add(note('1', 'é'.repeat(room / 2 + 1)))).rejects.toThrow(/put the bulk elsewhere/);
    expect(await recorded()).toHaveLength(1);
  });

  it('cannot be called outside of a transaction: that does not compile', () => {
    const doNotCall = () => [
      // @ts-expect-error a connection of its own would record an event whose change is rolled back
      outbox.add(fixture.database.read, note('1')),
      // @ts-expect-error neither is a pool a transaction
      outbox.add(fixture.pool, note('1')),
    ];
    expect(doNotCall).toBeInstanceOf(Function);
  });

  it('refuses to record after the transaction has ended', async () => {
    let late: (() => Promise<string>) | undefined;
    await fixture.database.transaction((tx) => {
      late = () => outbox.add(tx, note('1'));
      return Promise.resolve();
    });
    await expect(late!()).rejects.toThrow(/transaction has ended/);
    expect(await recorded()).toEqual([]);
  });
});
