import type { Database } from '@app/database';
import { hasTable, select } from './operation.js';
import { COUNTED } from './outbox-status.js';

export interface TimersStatus {
  /** Events that are to be recorded later. */
  pending: number;
  /** Else there are more than that. */
  exact: boolean;
  /** Of them those that should have been recorded by now; counted up to 10 000. */
  overdue: number;
  /** Of them those whose event cannot be recorded; set aside until the service is started again. */
  failed: number;
  /** The next one that will be recorded. */
  nextAt: Date | null;
}

/** What the service has set for later; `undefined` if it has no timers at all. */
export async function timersStatus(database: Database): Promise<TimersStatus | undefined> {
  if (!(await hasTable(database, 'messaging.timers'))) return undefined;
  const [row] = await select<{ n: number; overdue: number; failed: number; nextAt: Date | null }>(
    database,
    `select (select count(*)::int from (select from messaging.timers limit ${COUNTED + 1}) t) as n,
            (select count(*)::int from (
               select from messaging.timers where error is null and due_at <= now() limit ${COUNTED}) t) as overdue,
            (select count(*)::int from (select from messaging.timers where error is not null limit ${COUNTED}) t) as failed,
            (select min(due_at) from messaging.timers where error is null) as "nextAt"`,
  );
  const { n, ...rest } = row!;
  return { pending: Math.min(n, COUNTED), exact: n <= COUNTED, ...rest };
}
