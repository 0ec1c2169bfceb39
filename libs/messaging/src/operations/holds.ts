// Logs of others that contradict what was applied here: nothing of them is applied until somebody decides.
import type { Database, Transaction } from '@app/database';
import type { QueryResultRow } from 'pg';
import { DROPPED } from '../books/holds.js';
import { acceptSurplus } from '../books/ledger.js';
import { OperationError, perform, select, type ActionOptions, type Effect } from './operation.js';
import { sourceOf } from './parked-query.js';

export interface Hold {
  inbox: string;
  source: string;
  epoch: string;
  reason: string;
  since: Date;
  /** Since when it is closed, if it is. */
  closedAt: Date | null;
  /** Events of it that are parked; at most 10 001 are counted. */
  parked: number;
}

/** Logs that are held, and those that were closed. */
export const listHolds = (database: Database): Promise<Hold[]> =>
  select(
    database,
    `select h.inbox, h.source, h.epoch, h.reason, h.since, h.closed_at as "closedAt",
            (select count(*)::int from (select from messaging.parked_events p
             where p.inbox = h.inbox and p.source = h.source and p.epoch = h.epoch limit 10001) p) as parked
     from messaging.inbox_holds h order by since`,
  );

/** Which held logs: all of a source, or only one life, or in one inbox. */
export interface WhichHold {
  source: string;
  epoch?: string | undefined;
  inbox?: string | undefined;
}

const MATCHING = `h.source = $1 and ($2::uuid is null or h.epoch = $2) and ($3::text is null or h.inbox = $3)`;
const OPEN = `h.closed_at is null and ${MATCHING}`;
/** Lives that were closed long ago stay so, unless somebody names one. */
const OPEN_OR_NAMED = `(h.closed_at is null or $2::uuid is not null) and ${MATCHING}`;

/**
 * Lets a held log flow again, for instance because the event that contradicted was forged. What was
 * applied beyond the owner's counts is accepted; an event that still contradicts what was applied holds it again. A life
 * that was closed is opened again if it is named by its epoch: what was dropped of it is pulled from its owner's log.
 *
 * @throws {@link OperationError} if nothing of that source is held
 */
export async function releaseHold(database: Database, which: WhichHold, options: ActionOptions): Promise<Effect> {
  return perform(database, 'hold.release', parametersOf(which), options, async (tx) => {
    const sql = `delete from messaging.inbox_holds h where ${OPEN_OR_NAMED} returning inbox, source, epoch`;
    const released = await change<Pick<Hold, 'inbox' | 'source' | 'epoch'>>(tx, sql, which);
    for (const hold of released) await acceptSurplus(tx, hold);
    return { affected: released.length };
  });
}

/**
 * Closes the life of a held log: what was parked of it since it is held and what still comes is dropped, and it is not reported
 * any longer. What was parked before stays so, until it is skipped.
 * Its owner must have begun a new epoch, or nothing that it tells is heard until {@link releaseHold} opens it again.
 *
 * @throws {@link OperationError} if nothing of that source is held
 */
export async function closeHold(
  database: Database,
  which: WhichHold,
  options: ActionOptions,
): Promise<Effect & { dropped: number }> {
  return perform(database, 'hold.close', parametersOf(which), options, async (tx) => {
    const { rowCount: dropped } = await tx.query(
      `delete from messaging.parked_events p using messaging.inbox_holds h
       where ${DROPPED} and ${OPEN}`,
      valuesOf(which),
    );
    const sql = `update messaging.inbox_holds h set closed_at = now() where ${OPEN} returning inbox`;
    const closed = await change(tx, sql, which);
    return { affected: closed.length, dropped: dropped ?? 0 };
  });
}

async function change<Row extends QueryResultRow>(tx: Transaction, sql: string, which: WhichHold): Promise<Row[]> {
  const { rows } = await tx.query<Row>(sql, valuesOf(which));
  if (rows.length > 0) return rows;
  throw new OperationError('not-found', `Nothing of ${sourceOf(which.source)} is held.`);
}

const parametersOf = ({ source, epoch = undefined, inbox = undefined }: WhichHold) => ({
  source: sourceOf(source),
  epoch: epoch ?? null,
  inbox: inbox ?? null,
});

const valuesOf = (which: WhichHold) => Object.values(parametersOf(which));
