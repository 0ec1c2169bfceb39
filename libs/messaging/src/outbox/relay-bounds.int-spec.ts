import { setTimeout as wait } from 'node:timers/promises';
import { OutboxReader } from './outbox-reader.js';
import { noBroker, startOutbox, type OutboxFixture } from './outbox.fixture.js';
import { Window } from './window.js';

/** More than the relay ever has on the way. */
const ALL = { events: 1_000, bytes: 1_000_000_000 };
const EVENT_BYTES = 200_000;

// Few events or many, small or large: what the relay has on the way fits into its memory.
describe('What is on the way to the broker is bounded in bytes:', () => {
  let outbox: OutboxFixture;
  beforeEach(async () => {
    outbox = await startOutbox(noBroker);
    await outbox.fill(6, 6);
    await outbox.rows(`update messaging.events set data = json_build_object('name', repeat('x', $1))`, EVENT_BYTES);
    await outbox.rows(
      `update messaging.outbox o set bytes = octet_length(e.data::text) + 2048
       from messaging.events e where e.position = o.position`,
    );
  });
  afterEach(() => outbox.stop());

  it('so many events are read as fit, from the lowest position on', async () => {
    const reader = new OutboxReader(outbox.pool, '/users');
    const all = await reader.read({ ...ALL, except: [] });
    expect(all).toHaveLength(6);
    for (const { bytes, text } of all) {
      expect(bytes).toBe(Buffer.byteLength(text));
      expect(bytes).toBeGreaterThan(EVENT_BYTES);
    }
    const positions = all.map(({ position }) => position);
    const read = async (bytes: number, except: string[] = []) =>
      (await reader.read({ ...ALL, except, bytes })).map(({ position }) => position);
    expect(await read(500_000)).toEqual(positions.slice(0, 2));
    expect(await read(500_000, positions.slice(0, 2))).toEqual(positions.slice(2, 4));
    expect(await read(700_000)).toEqual(positions.slice(0, 3));
    // Else an event that is larger than the rest of the window would wait for ever.
    expect(await read(EVENT_BYTES / 2)).toEqual(positions.slice(0, 1));
  });

  it('what was committed late is found, although the clock was set back', async () => {
    const reader = new OutboxReader(outbox.pool, '/users');
    const [late] = await outbox.rows('delete from messaging.outbox returning position, bytes');
    await outbox.rows(`select setval(pg_get_serial_sequence('messaging.events', 'position'), 100000)`);
    await outbox.fill(6, 6);
    expect(await reader.read({ ...ALL, except: [] })).toHaveLength(6);
    await outbox.rows('insert into messaging.outbox (position, bytes) values ($1, $2)', late!.position, late!.bytes);
    const clock = jest.spyOn(Date, 'now').mockReturnValue(Date.now() - 3_600_000);
    let found = 0;
    for (let looks = 0; looks < 30 && found < 7; looks++) {
      await wait(100);
      found = (await reader.read({ ...ALL, except: [] })).length;
    }
    clock.mockRestore();
    expect(found).toBe(7);
  });

  it('so many are read as fit, although a stream is held', async () => {
    await outbox.rows(
      `with gone as (delete from messaging.outbox where position = (select min(position) from messaging.outbox)
                     returning position)
       insert into messaging.unpublishable (position, error) select position, 'no' from gone`,
    );
    const reader = new OutboxReader(outbox.pool, '/users');
    expect(await reader.read({ ...ALL, except: [], bytes: 500_000 })).toHaveLength(2);
  });

  it('what is on the way takes room until its row is gone, or it is given back', async () => {
    let left = 0;
    const window = new Window(outbox.pool, new AbortController().signal, () => left++);
    const before = window.room;
    const [first, second, third] = await new OutboxReader(outbox.pool, '/users').read({ ...ALL, except: [] });
    window.add([first!, second!, third!]);
    expect(before.bytes - window.room.bytes).toBe(first!.bytes + second!.bytes + third!.bytes);
    expect(before.events - window.room.events).toBe(3);

    window.giveBack([second!.position]);
    expect(left).toBe(1);
    expect(before.bytes - window.room.bytes).toBe(first!.bytes + third!.bytes);
    window.confirmed([first!.position]);
    expect(before.bytes - window.room.bytes).toBe(first!.bytes + third!.bytes);
    await window.settled();
    expect(before.bytes - window.room.bytes).toBe(third!.bytes);
    expect(await outbox.pending()).toBe(5);
    expect(left).toBe(1); // there was room all the time
  });

  it('has no room when it is full of bytes, however few events they are, and tells when it has again', async () => {
    let left = 0;
    const window = new Window(outbox.pool, new AbortController().signal, () => left++);
    const { events, bytes } = window.room;
    window.add([{ position: '1', bytes: bytes + 1 }]);
    expect(window.room).toEqual({ events: events - 1, bytes: 0 });
    window.confirmed(['1']);
    await window.settled();
    expect(window.room).toEqual({ events, bytes });
    expect(left).toBe(1);
  });
});
