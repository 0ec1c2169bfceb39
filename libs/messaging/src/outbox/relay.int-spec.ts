import { randomUUID } from 'node:crypto';
import { eventually } from '@app/testing';
import { OutboxReader } from './outbox-reader.js';
import { firstArrivalsOutOfOrder, startOutbox, type OutboxFixture } from './outbox.fixture.js';

describe('Relay', () => {
  let outbox: OutboxFixture;
  beforeEach(async () => (outbox = await startOutbox()));
  afterEach(() => outbox.stop());

  it('publishes one event alone and at once when idle', async () => {
    const heard = await outbox.listen();
    const relay = outbox.relay();
    relay.start();
    await eventually(() => expect(relay.status.active).toBe(true));
    const subjects = Array.from({ length: 5 }, () => randomUUID());
    const latencies: number[] = [];
    for (const subject of subjects) {
      const started = performance.now();
      await outbox.record(relay, [subject]);
      await eventually(() => expect(heard.map((event) => event.subject)).toContain(subject), { intervalMs: 1 });
      latencies.push(performance.now() - started);
    }
    expect(heard.map(({ together }) => together)).toEqual([1, 1, 1, 1, 1]);
    expect(Math.min(...latencies)).toBeLessThan(50); // does not wait for the poll
    await outbox.emptied();
  });

  describe('what its own process records,', () => {
    afterEach(() => jest.restoreAllMocks());
    /** How many events were read from the outbox, and how many were not. */
    const watch = () => {
      const read = jest.spyOn(OutboxReader.prototype, 'read');
      const unread = jest.spyOn(OutboxReader.prototype, 'outgoing');
      return async () => {
        const looks = await Promise.all(read.mock.results.map(({ value }) => value as Promise<object[]>));
        const others = unread.mock.results.map(({ value }) => value as object[]);
        return { read: looks.flat().length, unread: others.flat().length };
      };
    };

    it('is published as it would be read, without being read', async () => {
      const heard = await outbox.listen();
      const relay = outbox.relay();
      const counts = watch(); // before it starts, or its first look would not count
      relay.start();
      await eventually(() => expect(relay.status.active).toBe(true));
      const subjects = Array.from({ length: 10 }, () => randomUUID());
      for (const subject of [...subjects, ...subjects, ...subjects]) {
        await outbox.record(relay, [subject]);
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      await eventually(() => expect(heard).toHaveLength(30));
      expect(firstArrivalsOutOfOrder(heard)).toEqual([]);
      await outbox.emptied();
      const { read, unread } = await counts();
      expect(read + unread).toBe(30);
      expect(unread).toBeGreaterThan(10); // a look now and then may come first, the more often the busier the machine

      await outbox.rows(
        `insert into messaging.outbox (position, bytes) select position, 2500 from messaging.events order by position`,
      );
      await eventually(() => expect(heard).toHaveLength(60));
      const byId = (one: { id: string }, other: { id: string }) => (one.id < other.id ? -1 : 1);
      const once = heard.slice(0, 30).toSorted(byId);
      const again = heard.slice(30).toSorted(byId);
      expect(again.map(({ text }) => text)).toEqual(once.map(({ text }) => text));
    });

    it('is read if another process has recorded what comes before it', async () => {
      const heard = await outbox.listen();
      const relay = outbox.relay();
      const elsewhere = outbox.relay(); // in another process: it does not publish
      relay.start();
      await eventually(() => expect(relay.status.active).toBe(true));
      const subjects = Array.from({ length: 50 }, () => randomUUID());
      for (const subject of subjects) {
        await outbox.record(elsewhere, [subject]);
        await outbox.record(relay, [subject]);
        await outbox.record(elsewhere, [subject]);
        await outbox.record(relay, [subject]);
      }
      await eventually(() => expect(heard).toHaveLength(200));
      expect(firstArrivalsOutOfOrder(heard)).toEqual([]);
      await outbox.emptied();
    });

    it('is read in a flow of many at a time, and in order', async () => {
      const heard = await outbox.listen();
      const relay = outbox.relay();
      const counts = watch(); // before it starts, or its first look would not count
      relay.start();
      await eventually(() => expect(relay.status.active).toBe(true));
      const subjects = Array.from({ length: 60 }, () => randomUUID());
      for (let round = 0; round < 20; round++) {
        await Promise.all(subjects.map((subject) => outbox.record(relay, [subject])));
      }
      await eventually(() => expect(heard.length).toBeGreaterThanOrEqual(1_200));
      expect(firstArrivalsOutOfOrder(heard)).toEqual([]);
      await outbox.emptied();
      expect((await counts()).read).toBeGreaterThan(600);
      expect(relay.status.published).toBe(1_200);
    });

    it('waits while an operator has paused the relay', async () => {
      const heard = await outbox.listen();
      const relay = outbox.relay();
      relay.start();
      await eventually(() => expect(relay.status.active).toBe(true));
      await outbox.rows(`insert into messaging.pauses (scope, reason, by) values ('relay', 'maintenance', 'alice')`);
      relay.lookEverywhere();
      await eventually(() => expect(relay.status.paused).toBe('maintenance'));
      await outbox.record(relay, [randomUUID()]);
      await new Promise((resolve) => setTimeout(resolve, 200));
      expect(heard).toEqual([]);
      await outbox.rows(`delete from messaging.pauses`);
      await eventually(() => expect(heard).toHaveLength(1));
      await outbox.emptied();
    });
  });

  it('publishes a backlog in batches and in order', async () => {
    const heard = await outbox.listen();
    await outbox.fill(9_000);
    const relay = outbox.relay();
    relay.start();
    await outbox.emptied();
    await eventually(() => expect(heard).toHaveLength(9_000));
    expect(firstArrivalsOutOfOrder(heard)).toEqual([]);
    expect(Math.max(...heard.map(({ together }) => together))).toBe(100);
    expect(relay.status).toMatchObject({ published: 9_000, unroutable: 0, inFlight: 0 });
  });

  it('counts and removes what nobody listens to', async () => {
    await outbox.fill(150);
    const relay = outbox.relay();
    relay.start();
    await outbox.emptied();
    expect(relay.status).toMatchObject({ published: 150, unroutable: 150 });
  });

  it('stops with everything confirmed that was on the way, and nothing half done', async () => {
    const heard = await outbox.listen();
    await outbox.fill(15_000);
    const relay = outbox.relay();
    relay.start();
    await eventually(() => expect(relay.status.published).toBeGreaterThan(1_000), { intervalMs: 1 });
    await relay.stop();
    const left = await outbox.pending();
    expect(left).toBeGreaterThan(0);
    await eventually(() => expect(heard).toHaveLength(15_000 - left)); // none twice
  });

  it('publishes only once an operator has resumed it', async () => {
    const relay = outbox.relay();
    await outbox.rows(`insert into messaging.pauses (scope, reason, by) values ('relay', 'maintenance', 'alice')`);
    await outbox.fill(10);
    relay.start();
    await eventually(() => expect(relay.status.paused).toBe('maintenance'));
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(await outbox.pending()).toBe(10);
    await outbox.rows(`delete from messaging.pauses`);
    await outbox.emptied(3_000);
    expect(relay.status.paused).toBeUndefined();
  });
});
