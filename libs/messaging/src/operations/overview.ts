import type { Database } from '@app/database';
import { listHolds } from './holds.js';
import { logStatus } from './log.js';
import { select } from './operation.js';
import { COUNTED, outboxSize } from './outbox-status.js';
import { listPauses } from './pauses.js';
import { timersStatus } from './timers-status.js';

/** Everything at a glance. Whatever is counted is counted up to 10 000, parked events so many of each state. */
export async function overview(database: Database) {
  const [outbox, parked, holds, pauses, log, timers, unpublishable, pagesMissing] = await Promise.all([
    outboxSize(database),
    parkedByState(database),
    listHolds(database),
    listPauses(database),
    logStatus(database),
    timersStatus(database),
    countUnpublishable(database),
    count(database, 'messaging.inbox_gaps'),
  ]);
  const held = holds.filter(({ closedAt }) => closedAt === null);
  return {
    /** `unpublishable`: events that the broker refuses, each holds its stream. */
    outbox: { ...outbox, unpublishable },
    parked: Object.fromEntries(parked.map(({ state, events }) => [state, events])),
    /** Pages of logs, of which something has not arrived. */
    pagesMissing,
    holds: held,
    pauses,
    timers,
    log,
  };
}

/** How many events the broker refuses, 10 000 at most. */
export const countUnpublishable = (database: Database): Promise<number> => count(database, 'messaging.unpublishable');

async function count(database: Database, table: string): Promise<number> {
  const sql = `select count(*)::int as n from (select from ${table} limit ${COUNTED}) t`;
  const [row] = await select<{ n: number }>(database, sql, []);
  return row!.n;
}

const STATES = ['waiting', 'retry', 'slow', 'incompatible', 'dead'];

// Through the index on (state, parked_at) alone.
const PARKED = `
select s.state, p.events, p.oldest from unnest($1::text[]) s (state) cross join lateral (
  select count(*)::int as events, min(parked_at) as oldest from (
    select parked_at from messaging.parked_events where state = s.state order by parked_at limit ${COUNTED}) p) p`;

/** How many events are parked in each state (at most 10 000 are counted), and since when the oldest of them. */
export const parkedByState = (database: Database): Promise<{ state: string; events: number; oldest: Date | null }[]> =>
  select(database, PARKED, [STATES]);
