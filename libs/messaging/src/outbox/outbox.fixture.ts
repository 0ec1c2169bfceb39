// For tests: a database with the tables of messaging, a vhost, a queue that hears everything, and relays on demand.
import { randomUUID } from 'node:crypto';
import { UserRegistered } from '@app/contracts';
import { Database, migrate } from '@app/database';
import { messagingMigrations } from '@app/messaging';
import { createTestDatabase, createTestVhost, eventually, type TestVhost } from '@app/testing';
import { connect, type ChannelModel } from 'amqplib';
import { Logger } from '@nestjs/common';
import { Pool, type QueryResultRow } from 'pg';
import type { MessagingOptions, MessagingRole } from '../options.js';
import { Outbox } from './outbox.js';
import { Relay } from './relay.js';

Logger.overrideLogger(process.env.TEST_LOG_LEVEL ? ['log', 'warn', 'error'] : false);

export interface Heard {
  id: string;
  subject: string;
  sequence: number;
  /** How many events came in the same message. */
  together: number;
  /** The event as it came. */
  text: string;
}

/** What may differ from the test run's own servers. */
export interface Addresses {
  rabbitmqUrls?: string[];
  databaseUrl?: string;
}

export type OutboxFixture = Awaited<ReturnType<typeof startOutbox>>;

/** For tests that publish nothing: no vhost, and nobody listens there. */
export const noBroker = {
  url: 'amqp://127.0.0.1:1',
  connections: () => Promise.resolve([]),
  drop: () => Promise.resolve(),
} as unknown as TestVhost;

/** @param givenVhost on a broker of the test's own; it is dropped in the end */
export async function startOutbox(givenVhost?: TestVhost) {
  const [testDatabase, vhost] = await Promise.all([
    createTestDatabase('messaging', (url) => migrate(url, [messagingMigrations])),
    givenVhost ?? createTestVhost(),
  ]);
  const database = new Database({ url: testDatabase.url, applicationName: 'test' });
  const pool = new Pool({ connectionString: testDatabase.url, max: 4, application_name: 'test' });
  const relays: Relay[] = [];
  const listeners: ChannelModel[] = [];

  const options = ({
    rabbitmqUrls = [vhost.url],
    databaseUrl = testDatabase.url,
  }: Addresses = {}): MessagingOptions => ({
    service: 'users',
    rabbitmqUrls,
    databaseUrl,
    roles: new Set<MessagingRole>(['relay']),
  });
  const rows = async <Row extends QueryResultRow>(sql: string, ...values: unknown[]) =>
    (await pool.query<Row>(sql, values)).rows;
  const pending = async () => Number((await rows<{ n: string }>('select count(*) as n from messaging.outbox'))[0]!.n);

  return {
    vhost,
    database,
    databaseUrl: testDatabase.url,
    pool,
    rows,
    pending,
    options,
    /** A relay that has not been started. */
    relay: (addresses?: Addresses) => {
      const relay = new Relay(options(addresses));
      relays.push(relay);
      return relay;
    },
    /** Records through the outbox, as a command does, one transaction each. */
    record: async (relay: Relay, subjects: readonly string[], name = 'Alice') => {
      const outbox = new Outbox(options(), relay);
      for (const userId of subjects) {
        const event = new UserRegistered({ userId, name, email: 'alice@example.com' });
        await database.transaction((tx) => outbox.add(tx, event));
      }
    },
    /** Records many at once, round robin over so many streams; much faster than commands. */
    fill: async (events: number, streams = 100) => {
      const subjects = Array.from({ length: streams }, () => randomUUID());
      await pool.query(
        `with log as (select epoch from messaging.log),
         event as (
           insert into messaging.events (id, type, epoch, aggregate, subject, sequence, page, correlation_id, data)
           select gen_random_uuid(), 'users.user.registered.v1', epoch, 'users.user', ($2::text[])[1 + n % $3],
                  1 + n / $3, 1, 'test', '{"userId":"0199d2c4-7b1e-7c3a-9f60-2b8f1f4f2a11","name":"Bob","email":"bob@example.com"}'
           from log, generate_series(0, $1 - 1) n order by n
           returning position, data)
         insert into messaging.outbox (position, bytes) select position, octet_length(data::text) + 2048 from event`,
        [events, subjects, streams],
      );
      return subjects;
    },
    /** Binds a queue to everything the service tells; what it gets is in the array that is returned. */
    listen: async (queue = 'spy'): Promise<Heard[]> => {
      const heard: Heard[] = [];
      const model = await connect(vhost.url);
      listeners.push(model);
      const channel = await model.createChannel();
      await channel.assertExchange('users.events', 'topic', { durable: true });
      await channel.assertQueue(queue, { durable: true, arguments: { 'x-queue-type': 'quorum' } });
      await channel.bindQueue(queue, 'users.events', '#');
      await channel.consume(queue, (message) => {
        if (!message) return;
        const body = JSON.parse(message.content.toString()) as Record<string, string> | Record<string, string>[];
        const events = Array.isArray(body) ? body : [body];
        for (const event of events) {
          const { id, subject, sequence } = event;
          const text = JSON.stringify(event);
          heard.push({ id: id!, subject: subject!, sequence: Number(sequence), together: events.length, text });
        }
        channel.ack(message);
      });
      return heard;
    },
    emptied: (timeoutMs = 10_000) =>
      eventually(
        async () => {
          const left = await pending();
          if (left > 0) throw new Error(`${left} events are still in the outbox`);
        },
        { timeoutMs },
      ),
    /** Throws if anything is left open. */
    stop: async () => {
      await Promise.all(relays.map((relay) => relay.stop()));
      await Promise.all(listeners.map((model) => model.close().catch(() => undefined)));
      await eventually(
        async () => {
          const open = (await vhost.connections()).map(({ client_properties: names }) => names?.connection_name);
          if (open.length > 0) throw new Error(`connections to RabbitMQ were left open: ${open.join(', ')}`);
        },
        { timeoutMs: 3_000 },
      );
      await Promise.all([database.close(), pool.end()]);
      await Promise.all([testDatabase.drop(), vhost.drop()]);
    },
  };
}

/** Every stream's sequences, in the order in which they came for the first time, are 1, 2, 3 … */
export function firstArrivalsOutOfOrder(heard: readonly Heard[]): Heard[] {
  const last = new Map<string, number>();
  return heard.filter(({ subject, sequence }) => {
    const before = last.get(subject) ?? 0;
    if (sequence <= before) return false; // again
    last.set(subject, sequence);
    return sequence !== before + 1;
  });
}
