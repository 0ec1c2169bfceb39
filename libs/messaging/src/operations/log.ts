// The service's own log.
import type { Database } from '@app/database';
import { OperationError, perform, select, type ActionOptions, type Effect } from './operation.js';

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
