import type { Database } from '@app/database';
import { listHolds } from './holds.js';
import { logStatus } from './log.js';
import { select } from './operation.js';
import { COUNTED, outboxSize } from './outbox-status.js';
import { listPauses } from './pauses.js';

/** Everything at a glance. Parked events are counted up to 10 000 of each state. */
export async function overview(database: Database) {
  const [outbox, parked, holds, pauses, log] = await Promise.all([
    outboxSize(database),
    parkedByState(database),
    listHolds(database),
    listPauses(database),
    logStatus(database),
  ]);
  const held = holds.filter(({ closedAt }) => closedAt === null);
  return {
    outbox,
    parked: Object.fromEntries(parked.map(({ state, events }) => [state, events])),
    holds: held,
    pauses,
    log,
  };
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
