// Events that the broker will not take at all. Each is out of the outbox and kept here with the reason; its stream is
// held until an operator releases it, everything else flows.
import type { QueryResult } from 'pg';
import { ENVELOPE_BYTES } from './recordable.js';

/** A pool, a client or an open transaction. */
interface Queryable {
  query<Row extends object>(sql: string, values?: unknown[]): Promise<QueryResult<Row>>;
}

/** An event that the broker refuses. */
export interface Unpublishable {
  position: string;
  type: string;
  aggregate: string;
  subject: string;
  sequence: string;
  /** What the broker said. */
  error: string;
  since: Date;
  /** Events of its stream that wait behind it in the outbox. */
  waiting: number;
}

/** In one statement, so that the event is in exactly one of both tables whatever happens. */
export async function setAside(db: Queryable, position: string, error: string): Promise<void> {
  await db.query(
    `with gone as (delete from messaging.outbox where position = $1 returning position)
     insert into messaging.unpublishable (position, error) select position, $2 from gone
     on conflict (position) do update set error = excluded.error`,
    [position, error],
  );
}

/** What is set aside, oldest first. */
export async function listUnpublishable(db: Queryable, limit = 100): Promise<Unpublishable[]> {
  const { rows } = await db.query<Unpublishable>(
    `select u.position, e.type, e.aggregate, e.subject, e.sequence, u.error, u.since,
            (select count(*)::int from messaging.events later join messaging.outbox using (position)
             where later.epoch = e.epoch and later.aggregate = e.aggregate and later.subject = e.subject) as waiting
     from messaging.unpublishable u join messaging.events e using (position) order by u.position limit $1`,
    [limit],
  );
  return rows;
}

/**
 * Puts an event back into the outbox, to be published again within a second or two – for instance once the broker allows
 * larger messages. If the broker still refuses it, it is set aside again.
 *
 * @returns whether it was set aside
 */
export async function releaseUnpublishable(db: Queryable, position: string): Promise<boolean> {
  const { rowCount } = await db.query(
    `with released as (delete from messaging.unpublishable where position = $1 returning position)
     insert into messaging.outbox (position, bytes)
     select position, octet_length(data::text) + ${ENVELOPE_BYTES} from released join messaging.events using (position)
     on conflict do nothing`,
    [position],
  );
  return rowCount === 1;
}
