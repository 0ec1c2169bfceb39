// The service's own log, and the logs of others that its inboxes hold because they contradict what was applied.
import type { Database } from '@app/database';
import { OperationError, perform, select, type ActionOptions, type Effect } from './operation.js';
import { sourceOf } from './parked-query.js';

export interface LogStatus {
  epoch: string;
  startedAt: Date;
  /** The last recorded event. */
  position: number;
  /** Pages up to this one are final. */
  settledPage: number;
  openPage: number;
}

/** Where the log stands. */
export async function logStatus(database: Database): Promise<LogStatus> {
  const [row] = await select<LogStatus>(
    database,
    `select epoch, started_at as "startedAt", settled_page::float8 as "settledPage", page.last_value::float8 as "openPage",
            (select coalesce(max(position), 0)::float8 from messaging.events) as position
     from messaging.log, messaging.page`,
  );
  return row!;
}

/**
 * Starts a new epoch: from now on every stream begins with sequence 1 again. For a database that was restored to an older
 * state, whose sequences would be used a second time for other events.
 */
export async function startEpoch(database: Database, options: ActionOptions): Promise<Effect & { epoch: string }> {
  const { epoch: from } = await logStatus(database);
  return perform(database, 'log.new-epoch', { from }, options, async (tx) => {
    const { rows } = await tx.query<{ epoch: string }>(
      'update messaging.log set epoch = gen_random_uuid(), started_at = now() where epoch = $1 returning epoch',
      [from],
    );
    if (!rows[0]) throw new OperationError('conflict', 'Somebody else has just started a new epoch.');
    return { affected: 1, epoch: rows[0].epoch };
  });
}

export interface Hold {
  inbox: string;
  source: string;
  epoch: string;
  reason: string;
  since: Date;
  parked: number;
}

/** Logs that are held, with the number of their parked events (at most 10 001 are counted). */
export const listHolds = (database: Database): Promise<Hold[]> =>
  select(
    database,
    `select h.*, (select count(*)::int from (select from messaging.parked_events p
       where p.inbox = h.inbox and p.source = h.source and p.epoch = h.epoch limit 10001) p) as parked
     from messaging.inbox_holds h order by since`,
  );

/**
 * Lets a held log flow again. If it still contradicts what was applied, it is held again; skip or discard those events first.
 *
 * @throws {@link OperationError} if nothing of that source is held
 */
export async function releaseHold(
  database: Database,
  which: { source: string; epoch?: string | undefined; inbox?: string | undefined },
  options: ActionOptions,
): Promise<Effect> {
  const { epoch = null, inbox = null } = which;
  const source = sourceOf(which.source);
  return perform(database, 'hold.release', { source, epoch, inbox }, options, async (tx) => {
    const { rowCount } = await tx.query(
      `delete from messaging.inbox_holds
       where source = $1 and ($2::uuid is null or epoch = $2) and ($3::text is null or inbox = $3)`,
      [source, epoch, inbox],
    );
    if (!rowCount) throw new OperationError('not-found', `Nothing of ${source} is held.`);
    return { affected: rowCount };
  });
}
