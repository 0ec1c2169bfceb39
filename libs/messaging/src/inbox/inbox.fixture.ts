// For tests: the parts of an inbox that need a database and no broker, and one reaction in the test's hands.
import { randomUUID } from 'node:crypto';
import { setMaxListeners } from 'node:events';
import { UserProfileChanged, UserRegistered } from '@app/contracts';
import { connectionSettings, Database, migrate, openPool, type Transaction } from '@app/database';
import { messagingMigrations } from '@app/messaging';
import { createTestDatabase, eventually } from '@app/testing';
import type { Type } from '@nestjs/common';
import { CqrsModule, EventBus, EventsHandler } from '@nestjs/cqrs';
import { Test } from '@nestjs/testing';
import { Pool, type QueryResultRow } from 'pg';
import { Holds } from '../books/holds.js';
import { asLogged, type LoggedEvent } from '../cloud-event.js';
import { inboxNamesOf } from '../options.js';
import { Applier, type ApplierOptions } from './applier.js';
import { AwaitedEventBus, type Reaction } from './awaited-event-bus.js';
import type { Item } from './item.js';
import { ParkedWorker } from './parked-worker.js';
import { Router } from './router.js';

export type Handle = (event: UserRegistered, tx: Transaction) => Promise<unknown>;

/** Writes down that it ran. */
export const see: Handle = ({ userId, name }, tx) =>
  tx.query('insert into seen (user_id, name) values ($1, $2)', [userId, name]);

/** What an @EventPattern method nearly always does. */
export const handOn = (event: object, bus: EventBus): Promise<void> => (bus as AwaitedEventBus).publish(event);

export type InboxFixture = Awaited<ReturnType<typeof startInbox>>;

interface FixtureOptions {
  /** What the reaction says it touches; without it, it runs alone. */
  touches?: (event: UserRegistered) => string[];
  /** In place of the one in the test's hands. */
  reactions?: (database: Pick<Database, 'tx'>) => Type[];
}

export async function startInbox({ touches, reactions }: FixtureOptions = { touches: () => [] }) {
  const server = await createTestDatabase('messaging', (url) => migrate(url, [messagingMigrations]));
  const settings = connectionSettings({ url: server.url, applicationName: 'orders inbox' });
  const outside = new Pool({ connectionString: server.url, max: 4, application_name: 'test' });
  const live = openPool({ ...settings, max: 4, pipeline: true });
  const slow = openPool({ ...settings, max: 6, pipeline: true });
  const database = new Database({ url: server.url, applicationName: 'never connects' });
  await outside.query(
    'create table seen (n bigint generated always as identity, user_id uuid not null, name text not null)',
  );
  const fixture = {
    handle: see,
    /** Whether more of the log is being pulled than is parked meanwhile. */
    catchingUp: false,
    /** What the @EventPattern method does. */
    onEvent: handOn as (event: object, bus: EventBus) => unknown,
  };

  @EventsHandler(UserRegistered)
  class TestReaction implements Reaction<UserRegistered> {
    touches = touches;
    handle = async (event: UserRegistered) => void (await fixture.handle(event, database.tx));
  }
  const module = await Test.createTestingModule({
    imports: [CqrsModule.forRoot()],
    providers: reactions?.(database) ?? [TestReaction],
  })
    .overrideProvider(EventBus)
    .useClass(AwaitedEventBus)
    .compile();
  await module.init();
  if (!process.env.TEST_LOG_LEVEL) module.useLogger(false);
  const bus = module.get<EventBus, AwaitedEventBus>(EventBus);
  const handlers = new Map(
    [UserRegistered, UserProfileChanged].map(({ type }) => [type, (event: object) => fixture.onEvent(event, bus)]),
  );
  const deadline = new AbortController();
  setMaxListeners(0, deadline.signal); // of as many workers as a test makes
  const holds = new Holds('orders', outside);
  const optionsOf = (name?: string): ApplierOptions => ({
    ...inboxNamesOf('orders', name),
    name: { name },
    router: new Router(handlers as never, bus, { name }),
    holds,
    isCatchingUp: () => fixture.catchingUp,
    deadline: deadline.signal,
  });
  const options = optionsOf();
  const patient = new Applier(slow, options);
  const workers: ParkedWorker[] = [];
  const rows = async <Row extends QueryResultRow>(sql: string, ...values: unknown[]) =>
    (await outside.query<Row>(sql, values)).rows;

  const inbox = Object.assign(fixture, {
    url: server.url,
    outside,
    holds,
    deadline,
    rows,
    /** On a pipelined connection, as for live events. */
    applier: new Applier(live, options),
    /** Of an inbox of its own. */
    applierOf: (name?: string) => new Applier(live, optionsOf(name)),
    /** A worker at work. */
    startWorker: (admit?: () => Promise<void>) => {
      const worker = new ParkedWorker('orders', slow, patient, holds, admit);
      workers.push(worker);
      worker.start();
      return worker;
    },
    seen: () => rows<{ user_id: string; name: string }>('select user_id, name from seen order by n'),
    seenOf: async (userId: string) =>
      (await rows<{ name: string }>('select name from seen where user_id = $1 order by n', userId)).map(
        (row) => row.name,
      ),
    parked: () =>
      rows<ParkedRow>(
        `select subject, sequence::int, state, attempts, crashes, error, due_at = 'infinity' as never,
                extract(epoch from nullif(due_at, 'infinity') - now())::float as due_in
         from messaging.parked_events order by subject, sequence`,
      ),
    gateOf: async (subject: string) =>
      (
        await rows<{ n: number }>(
          'select last_sequence::int as n from messaging.inbox_streams where subject = $1',
          subject,
        )
      )[0]?.n,
    applied: async () =>
      (await rows<{ n: number }>('select coalesce(sum(applied), 0)::int as n from messaging.inbox_pages'))[0]!.n,
    /** Everything that has been tried is due now. */
    hurry: () => rows(`update messaging.parked_events set due_at = now() where state not in ('dead', 'waiting')`),
    isEmpty: () =>
      eventually(async () => {
        const left = await rows('select state, attempts, error from messaging.parked_events');
        if (left.length > 0) throw new Error(`${left.length} parked: ${JSON.stringify(left[0])}`);
      }),
    clear: async () => {
      await Promise.all(workers.splice(0).map((worker) => worker.stop()));
      fixture.handle = see;
      fixture.onEvent = handOn;
      fixture.catchingUp = false;
      inbox.applier = new Applier(live, options); // it remembers that it was in the way of others
      await rows(
        'truncate seen, messaging.parked_events, messaging.inbox_streams, messaging.inbox_pages, messaging.inbox_holds',
      );
      await holds.refresh();
    },
    stop: async () => {
      await Promise.all(workers.map((worker) => worker.stop()));
      await Promise.all([live.end(), slow.end(), outside.end(), database.close(), module.close()]);
      await server.drop();
    },
  });
  return inbox;
}

interface ParkedRow {
  subject: string;
  sequence: number;
  state: string;
  attempts: number;
  crashes: number;
  error: string | null;
  never: boolean;
  due_in: number | null;
}

const EPOCH = randomUUID();
let position = 0;

/** The event with this sequence of a user's stream, as it arrives. */
export function arrival(userId: string, sequence = 1, changes: Partial<LoggedEvent> = {}): Item {
  const data = { userId, name: String(sequence), email: 'test@example.com' };
  return {
    envelope: asLogged({
      specversion: '1.0',
      id: randomUUID(),
      source: '/users',
      type: UserRegistered.type,
      subject: userId,
      sequence,
      epoch: EPOCH,
      page: 1,
      position: ++position,
      data,
      ...changes,
    }),
  };
}

/** Events `from` … `to` of one stream. */
export const stream = (userId: string, to: number, from = 1): Item[] =>
  Array.from({ length: to - from + 1 }, (_, i) => arrival(userId, from + i));

/** One event each of so many users. */
export const users = (count: number): Item[] => Array.from({ length: count }, () => arrival(randomUUID()));

export const subjectOf = ({ envelope }: Item): string => envelope.subject!;
