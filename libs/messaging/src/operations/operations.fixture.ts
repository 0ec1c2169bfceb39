// For tests: a database with the tables of messaging, and parked events as the inbox leaves them.
import { randomUUID } from 'node:crypto';
import { Database, migrate } from '@app/database';
import { messagingMigrations } from '@app/messaging';
import { createTestDatabase } from '@app/testing';
import type { QueryResultRow } from 'pg';
import type { ActionOptions } from './operation.js';

export const EPOCH = '0199d2c4-7b1e-7c3a-9f60-2b8f1f4f2a10';
export const TYPE = 'users.user.registered.v1';

export interface ParkedSeed {
  subject?: string;
  sequence?: number | null;
  state?: string;
  error?: string | null;
  type?: string;
  inbox?: string;
  page?: number;
  attempts?: number;
  /** Seconds from now; `null`: not by itself. */
  dueIn?: number | null;
  claimed?: boolean;
}

export type OperationsFixture = Awaited<ReturnType<typeof startOperations>>;

export const alice: ActionOptions = { operator: { who: 'alice', reason: 'because' } };

export async function startOperations() {
  const testDatabase = await createTestDatabase('messaging', (url) => migrate(url, [messagingMigrations]));
  const database = new Database({ url: testDatabase.url, applicationName: 'test' });
  const rows = async <Row extends QueryResultRow>(sql: string, ...values: unknown[]): Promise<Row[]> =>
    (await database.transaction((tx) => tx.query<Row>(sql, values))).rows;

  /** An event of `/users` as the inbox `orders` parks it. @returns its id */
  const parked = async (seed: ParkedSeed = {}): Promise<string> => {
    const { subject = randomUUID(), sequence = 1, state = 'retry', error = 'Error: no', type = TYPE, page = 7 } = seed;
    const { inbox = 'orders', attempts = 3, dueIn = 3600, claimed = false } = seed;
    const id = randomUUID();
    const body = { specversion: '1.0', id, source: '/users', type, subject, sequence, epoch: EPOCH, page, data: {} };
    const [row] = await rows<{ id: string }>(
      `insert into messaging.parked_events
         (inbox, source, epoch, aggregate, subject, sequence, page, event_id, type, state, attempts, error, body, due_at, claimed_at)
       values ($1, '/users', $2, 'users.user', $3, $4, $5, $6, $7, $8, $9, $10, $11,
               coalesce(now() + make_interval(secs => $12), 'infinity'), case when $13 then now() end) returning id`,
      ...[
        inbox,
        EPOCH,
        subject,
        sequence,
        page,
        id,
        type,
        state,
        attempts,
        error,
        JSON.stringify(body),
        dueIn,
        claimed,
      ],
    );
    return row!.id;
  };

  /** A message that could not be read. */
  const unreadable = async (content: string | Buffer, properties: object = {}): Promise<string> => {
    const [row] = await rows<{ id: string }>(
      `insert into messaging.parked_events (inbox, state, error, body, headers, due_at)
       values ('orders', 'dead', 'not valid JSON', $1, $2, 'infinity') returning id`,
      Buffer.from(content),
      JSON.stringify({ exchange: 'users.events', routingKey: TYPE, ...properties }),
    );
    return row!.id;
  };

  return {
    database,
    url: testDatabase.url,
    rows,
    parked,
    unreadable,
    /** The gate lets through what comes behind `sequence`. */
    gateAt: (subject: string, sequence: number) =>
      rows(
        `insert into messaging.inbox_streams (inbox, source, epoch, aggregate, subject, last_sequence, last_event_id)
         values ('orders', '/users', $1, 'users.user', $2, $3, gen_random_uuid())`,
        EPOCH,
        subject,
        sequence,
      ),
    gateOf: async (subject: string) => {
      const sql = 'select last_sequence::int as last from messaging.inbox_streams where subject = $1';
      return (await rows<{ last: number }>(sql, subject))[0]?.last ?? 0;
    },
    /** Events that the gate has let through, by page. */
    pages: async () => {
      const found = await rows<{ page: number; applied: number }>(
        'select page::int as page, applied::int as applied from messaging.inbox_pages order by page',
      );
      return Object.fromEntries(found.map(({ page, applied }) => [page, applied]));
    },
    row: async (id: string) => {
      const found = await rows<{ state: string; attempts: number; due: boolean; claimed: boolean }>(
        `select state, attempts, due_at <= now() as due, claimed_at is not null as claimed
         from messaging.parked_events where id = $1`,
        id,
      );
      return found[0];
    },
    audit: () =>
      rows<{ who: string; action: string; affected: number; reason: string; parameters: Record<string, unknown> }>(
        'select who, action, affected, reason, parameters from messaging.audit order by id',
      ),
    stop: async () => {
      await database.close();
      await testDatabase.drop();
    },
  };
}
