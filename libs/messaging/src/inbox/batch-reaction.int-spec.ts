import { randomUUID } from 'node:crypto';
import { UserProfileChanged, UserRegistered } from '@app/contracts';
import type { Transaction } from '@app/database';
import { eventually } from '@app/testing';
import type { EventBus } from '@nestjs/cqrs';
import { EventsHandler } from '@nestjs/cqrs';
import { Outbox } from '../outbox/outbox.js';
import type { BatchReaction, Reaction } from './awaited-event-bus.js';
import { becauseOf } from './because-of.js';
import { arrival, handOn, startInbox, stream, subjectOf, users, type InboxFixture } from './inbox.fixture.js';
import type { Item } from './item.js';

const LIMIT_MS = 2_000;
const numbers = (to: number) => Array.from({ length: to }, (_, i) => String(i + 1));
type Event = UserRegistered | UserProfileChanged;

describe('A reaction that takes many events', () => {
  /** How many events each call was given. */
  const calls: number[] = [];
  const alone: string[] = [];
  let misbehave: (events: readonly Event[], tx: Transaction) => Promise<unknown>;
  let inbox: InboxFixture;

  /** One statement for all. */
  const seeMany = (tx: Transaction, events: readonly Event[], prefix = '') =>
    tx.query('insert into seen (user_id, name) select * from unnest($1::uuid[], $2::text[])', [
      events.map(({ userId }) => userId),
      events.map(({ name }) => prefix + name),
    ]);

  beforeAll(async () => {
    inbox = await startInbox({
      reactions: (database) => {
        @EventsHandler(UserRegistered, UserProfileChanged)
        class SeeMany implements BatchReaction<Event> {
          async handleMany(events: readonly Event[]): Promise<void> {
            calls.push(events.length);
            await seeMany(database.tx, events);
            await misbehave(events, database.tx);
          }
        }
        @EventsHandler(UserRegistered)
        class CountMany implements BatchReaction<UserRegistered> {
          handleMany = async (events: readonly UserRegistered[]) => void (await seeMany(database.tx, events, 'again '));
        }
        @EventsHandler(UserRegistered)
        class CopyMany implements BatchReaction<UserRegistered> {
          readonly inbox = 'copy';
          touches = () => [];
          handleMany = async (events: readonly UserRegistered[]) => void (await seeMany(database.tx, events, 'copy '));
        }
        @EventsHandler(UserRegistered)
        class MixedMany implements BatchReaction<UserRegistered> {
          readonly inbox = 'mixed';
          handleMany = async (events: readonly UserRegistered[]) => void (await seeMany(database.tx, events, 'mixed '));
        }
        @EventsHandler(UserRegistered)
        class MixedOne implements Reaction<UserRegistered> {
          readonly inbox = 'mixed';
          handle = ({ name }: UserRegistered) => Promise.resolve(void alone.push(name));
        }
        return [SeeMany, CountMany, CopyMany, MixedMany, MixedOne];
      },
    });
  });
  afterAll(() => inbox?.stop());
  beforeEach(async () => {
    await inbox.clear();
    calls.length = alone.length = 0;
    misbehave = () => Promise.resolve();
  });

  const seenOf = async (userId: string) => (await inbox.seenOf(userId)).filter((name) => /^\d+$/.test(name));

  it('is called once for all of a batch, in the order of their streams, and every event counts once', async () => {
    const streams = Array.from({ length: 10 }, () => randomUUID());
    const batch = numbers(20).flatMap((n) => streams.map((userId) => arrival(userId, Number(n))));
    await inbox.applier.apply(batch, LIMIT_MS);
    expect(calls).toEqual([200]);
    for (const userId of streams) {
      expect(await seenOf(userId)).toEqual(numbers(20));
      expect(await inbox.gateOf(userId)).toBe(20);
    }
    expect(await inbox.applied()).toBe(200);
  });

  it('never sees a duplicate, of this batch or another one', async () => {
    const batch = [...users(5), ...stream(randomUUID(), 5)];
    await inbox.applier.apply([...batch, ...batch], LIMIT_MS);
    await inbox.applier.apply(batch, LIMIT_MS);
    for (const item of batch) await inbox.applier.apply([item], LIMIT_MS);
    expect(calls).toEqual([10]);
    expect(await inbox.seen()).toHaveLength(20); // two reactions
  });

  it('gets the types of one stream in their order', async () => {
    const userId = randomUUID();
    const types = [UserRegistered, UserProfileChanged, UserProfileChanged, UserRegistered];
    const batch = types.map(({ type }, i) => arrival(userId, i + 1, { type }));
    await inbox.applier.apply(batch, LIMIT_MS);
    expect(calls).toEqual([1, 2, 1]);
    expect(await seenOf(userId)).toEqual(numbers(4));
  });

  const failures: [string, (tx: Transaction) => Promise<unknown>, RegExp][] = [
    ['throws', () => Promise.reject(new Error('out of paper')), /out of paper/],
    ['violates a constraint', (tx) => tx.query('insert into seen (name) values (null)'), /null value/],
    ['catches the SQL error', (tx) => tx.query('select 1 / 0').catch(() => {}), /division by zero/],
  ];

  it.each(failures)(
    'that %s for one event of a hundred: finds and parks that one, and applies the others once',
    async (_, fail, error) => {
      const batch = users(100);
      const culprit = subjectOf(batch[42]!);
      misbehave = (events, tx) => (events.some(({ userId }) => userId === culprit) ? fail(tx) : Promise.resolve());
      await inbox.applier.apply([...batch, ...stream(culprit, 3, 2)], LIMIT_MS);
      expect(await inbox.parked()).toMatchObject([
        { subject: culprit, sequence: 1, state: 'retry', attempts: 1, error: expect.stringMatching(error) },
        { subject: culprit, sequence: 2, state: 'waiting', attempts: 0 },
        { subject: culprit, sequence: 3, state: 'waiting', attempts: 0 },
      ]);
      expect(await inbox.seenOf(culprit)).toEqual([]);
      expect(await inbox.seen()).toHaveLength(2 * 99);
      expect(await inbox.applied()).toBe(99);
    },
  );

  it('that is too slow for many is given its events alone', async () => {
    misbehave = (events) => (events.length > 1 ? new Promise(() => {}) : Promise.resolve());
    await inbox.applier.apply(users(10), 200);
    expect(await inbox.parked()).toEqual([]);
    expect(await inbox.seen()).toHaveLength(20);
  });

  it('is given a run of parked events by the workers, too', async () => {
    const userId = randomUUID();
    const [first, ...rest] = stream(userId, 10);
    await inbox.applier.apply(rest, LIMIT_MS);
    expect(await inbox.parked()).toHaveLength(9);
    inbox.startWorker();
    await inbox.applier.apply([first!], LIMIT_MS);
    await inbox.isEmpty();
    expect(await seenOf(userId)).toEqual(numbers(10));
    expect(calls).toEqual([1, 9]);
  });

  it('is retried by the workers until it succeeds', async () => {
    const batch = users(20);
    const culprit = subjectOf(batch[3]!);
    misbehave = (events) =>
      events.some(({ userId }) => userId === culprit) ? Promise.reject(new Error('not yet')) : Promise.resolve();
    await inbox.applier.apply(batch, LIMIT_MS);
    inbox.startWorker();
    misbehave = () => Promise.resolve();
    await inbox.hurry();
    await inbox.isEmpty();
    await eventually(async () => expect(await seenOf(culprit)).toEqual(['1']));
  });

  it('works in several inboxes, each with its own gate', async () => {
    const batch = users(30);
    await Promise.all([inbox.applier.apply(batch, LIMIT_MS), inbox.applierOf('copy').apply(batch, LIMIT_MS)]);
    await inbox.applierOf('copy').apply(batch, LIMIT_MS);
    expect((await inbox.seen()).filter(({ name }) => name.startsWith('copy'))).toHaveLength(30);
  });

  it('shares an event with a reaction that takes one at a time: then both do', async () => {
    await inbox.applierOf('mixed').apply(users(5), LIMIT_MS);
    expect(alone).toHaveLength(5);
    expect((await inbox.seen()).filter(({ name }) => name === 'mixed 1')).toHaveLength(5);
  });

  it('records events that name their cause', async () => {
    const relay = { recorded: () => {} };
    const outbox = new Outbox({ service: 'users' } as never, relay as never);
    misbehave = async (events, tx) => {
      for (const event of events)
        await becauseOf(event, () => outbox.add(tx, new UserRegistered({ ...event, name: 'told' })));
    };
    const batch: Item[] = users(3).map(({ envelope }) => ({ envelope: { ...envelope, correlationid: 'c' } }));
    await inbox.applier.apply(batch, LIMIT_MS);
    const told = await inbox.rows('select causation_id, correlation_id from messaging.events order by position');
    expect(calls).toEqual([3]);
    expect(told).toEqual(batch.map(({ envelope }) => ({ causation_id: envelope.id, correlation_id: 'c' })));
  });

  const curious: [string, (event: UserRegistered, bus: EventBus) => Promise<unknown>][] = [
    ['looks at its event', (event, bus) => (event.name === '1' ? handOn(event, bus) : Promise.resolve())],
    ['takes its event apart', (event, bus) => handOn(new UserRegistered({ ...event }), bus)],
    ['hands its event on twice', async (event, bus) => void (await handOn(event, bus), await handOn(event, bus))],
  ];

  it.each(curious)('gets its events one by one if the @EventPattern method %s', async (_, onEvent) => {
    inbox.onEvent = onEvent as typeof inbox.onEvent;
    const applier = inbox.applierOf(); // one that has not met such a method yet
    await applier.apply(users(10), LIMIT_MS);
    calls.length = 0; // the first ones may have been tried together, and were rolled back
    await applier.apply(users(10), LIMIT_MS);
    expect(new Set((await inbox.seen()).map(({ user_id }) => user_id))).toHaveProperty('size', 20);
    expect(await inbox.parked()).toEqual([]);
    expect(Math.max(...calls)).toBe(1);
  });
});
