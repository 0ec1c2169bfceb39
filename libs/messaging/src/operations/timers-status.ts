// Events that are to be recorded later: how many, which, and what operators can do about them.
import type { Database } from '@app/database';
import { OperationError, perform, select, type ActionOptions, type Effect } from './operation.js';
import { COUNTED } from './outbox-status.js';

export interface TimersStatus {
  /** Events that are to be recorded later. */
  pending: number;
  /** Else there are more than that. */
  exact: boolean;
  /** Of them those that should have been recorded ten seconds ago; counted up to 10 000. */
  overdue: number;
  /** Of them those whose event cannot be recorded; tried again from time to time, and when the service starts. */
  failed: number;
  /** The next one that will be recorded. */
  nextAt: Date | null;
}

const upTo = (limit: number, where: string) =>
  `(select count(*)::int from (select from messaging.timers where ${where} limit ${limit}) t)`;

const STATUS = `
select ${upTo(COUNTED + 1, 'true')} as n, ${upTo(COUNTED, `error is null and due_at <= now() - interval '10 s'`)} as overdue,
       ${upTo(COUNTED, 'error is not null')} as failed,
       (select min(due_at) from messaging.timers where error is null) as "nextAt"`;

/** What the service has set for later. */
export async function timersStatus(database: Database): Promise<TimersStatus> {
  const [row] = await select<{ n: number; overdue: number; failed: number; nextAt: Date | null }>(database, STATUS);
  const { n, ...rest } = row!;
  return { pending: Math.min(n, COUNTED), exact: n <= COUNTED, ...rest };
}

export interface Timer {
  id: string;
  key: string | null;
  dueAt: Date;
  setAt: Date;
  type: string;
  subject: string;
  error: string | null;
}

/** Timers, the next one first. */
export async function listTimers(
  database: Database,
  { failed = false, limit = 50 }: { failed?: boolean; limit?: number } = {},
): Promise<Timer[]> {
  return select(
    database,
    `select id, key, due_at as "dueAt", set_at as "setAt", type, subject, error from messaging.timers
     where error is ${failed ? 'not null' : 'null'} order by due_at, id limit $1`,
    [limit],
  );
}

/** Tries timers again whose events could not be recorded. */
export async function retryTimers(database: Database, options: ActionOptions): Promise<Effect> {
  return perform(database, 'timers.retry', {}, options, async (tx) => {
    const { rowCount } = await tx.query('update messaging.timers set error = null where error is not null');
    return { affected: rowCount ?? 0 };
  });
}

/**
 * Removes a timer; its event is never recorded. The audit keeps what it would have been.
 *
 * @throws {@link OperationError} if there is no such timer: it has fired, or was cancelled
 */
export async function cancelTimer(database: Database, id: string, options: ActionOptions): Promise<Effect> {
  if (!/^[0-9a-f-]{36}$/i.test(id)) throw new OperationError('invalid', `"${id}" is not the id of a timer.`);
  const sql = 'select type, subject, due_at, data from messaging.timers where id = $1';
  const [timer] = await select<object>(database, sql, [id]);
  return perform(database, 'timers.cancel', { id, ...timer }, options, async (tx) => {
    const { rowCount } = await tx.query('delete from messaging.timers where id = $1', [id]);
    if (rowCount === 0) throw new OperationError('not-found', `There is no timer ${id} (any more).`);
    return { affected: 1 };
  });
}
