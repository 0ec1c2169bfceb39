// For operators: how timers are doing, and those whose events cannot be recorded.
import type { QueryResult } from 'pg';

/** A pool, a client or an open transaction. */
interface Queryable {
  query<Row extends object>(sql: string, values?: unknown[]): Promise<QueryResult<Row>>;
}

/** A timer that is set aside. It is tried again every five minutes, at each start of the service, and by {@link retryTimer}. */
export interface FailedTimer {
  id: string;
  key: string | null;
  dueAt: Date;
  type: string;
  subject: string;
  /** Why its event cannot be recorded. */
  error: string;
}

export interface TimerStatus {
  /** When the next one is due; `null`: none is set. */
  nextDueAt: Date | null;
  /** Due, but not fired yet; counted up to 10 000. */
  overdue: number;
  /** Set aside; counted up to 10 000. */
  failed: number;
}

/** Cheap, however many timers are set. */
export async function timerStatus(db: Queryable): Promise<TimerStatus> {
  const { rows } = await db.query<TimerStatus>(
    `select (select due_at from messaging.timers where error is null order by due_at limit 1) as "nextDueAt",
            (select count(*)::int from (select from messaging.timers where error is null and due_at <= now() limit 10000) t)
              as overdue,
            (select count(*)::int from (select from messaging.timers where error is not null limit 10000) t) as failed`,
  );
  return rows[0]!;
}

/** Timers that are set aside, the longest due first. */
export async function listFailedTimers(db: Queryable, limit = 100): Promise<FailedTimer[]> {
  const { rows } = await db.query<FailedTimer>(
    `select id, key, due_at as "dueAt", type, subject, error from messaging.timers
     where error is not null order by due_at limit $1`,
    [limit],
  );
  return rows;
}

/** Lets a timer that is set aside fire now; if its event still cannot be recorded, it is set aside again. */
export async function retryTimer(db: Queryable, id: string): Promise<boolean> {
  const { rowCount } = await db.query('update messaging.timers set error = null where id = $1 and error is not null', [
    id,
  ]);
  return rowCount === 1;
}
