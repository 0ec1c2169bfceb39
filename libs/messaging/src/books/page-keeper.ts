// The owner's half of the books: closes the open page of the log and counts it once nothing can be written to it any
// more. A crash at any point is repaired by the next round.
import { sabotaged } from '@app/context';
import type { Pool } from 'pg';
import { pause } from '../rabbitmq/backoff.js';

const POLL_MS = 200;
/** A transaction that is open for longer keeps its page open; it is reported. */
const PATIENCE_MS = 60_000;

export class PageNotSettledError extends Error {
  override readonly name = 'PageNotSettledError';
}

// Everything that may still hold an old page number. Backups only read. Events are recorded under the service's own
// role, so what other roles do need not be visible.
const RUNNING = `
select coalesce(array_agg(pid || '/' || xact_start) filter (where xact_start is not null), '{}') as running,
       coalesce(bool_or(state = 'disabled'), false) as blind
from pg_stat_activity
where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'
  and application_name not like 'pg_dump%'`;
// By the end of the index: asked whether an event is on the open page, Postgres expects many there if the log has few pages, as after an
// import, and looks for the first one in the table, where the newest are the last: through the whole log (300 ms with 500 000 events).
const STATE = `
select l.settled_page as settled, p.last_value as open, (select max(page) from messaging.events) >= p.last_value as used
from messaging.log l, messaging.page p`;
const STILL_RUNNING = `
select exists (select from pg_stat_activity where pid || '/' || xact_start = any($1))
    or exists (select from pg_prepared_xacts where database = current_database() and prepared < $2) as running`;
const SETTLE = `
with settled as (
  update messaging.log set settled_page = $2 where settled_page = $1 returning only_row)
insert into messaging.pages (page, epoch, aggregate, recorded, first_position, last_position)
select page, epoch, aggregate, count(*), min(position), max(position)
from messaging.events where page > $1 and page <= $2 and exists (select from settled)
group by page, epoch, aggregate`;

/**
 * Closes the open page if it holds events, and settles every closed page. Exact without clocks: a writer reads the page
 * number inside its transaction, so whoever holds an old one was already running when the page was closed.
 *
 * @returns the last settled page
 * @throws {@link PageNotSettledError} if a transaction stays open for 60 s
 */
export async function settlePages(pool: Pool, signal?: AbortSignal): Promise<number> {
  const { rows } = await pool.query<{ settled: string; open: string; used: boolean | null }>(STATE);
  const { settled: last, open, used } = rows[0]!;
  const settled = Number(last);
  let closed = Number(open) - 1;
  if (used) {
    await pool.query(`select nextval('messaging.page')`);
    closed++;
  }
  if (closed <= settled) return settled;
  if (!sabotaged('pages-settled-at-once')) await untilEnded(pool, signal);
  if (signal?.aborted) return settled;
  // One by one: after an outage there may be many, and each count takes its time.
  for (let page = settled; page < closed; page++) await pool.query(SETTLE, [page, page + 1]);
  return closed;
}

async function untilEnded(pool: Pool, signal?: AbortSignal): Promise<void> {
  const { rows } = await pool.query<{ running: string[]; blind: boolean; now: string }>(
    `select r.*, clock_timestamp()::text as now from (${RUNNING}) r`,
  );
  const { running, blind, now } = rows[0]!;
  if (blind)
    throw new PageNotSettledError('track_activities is off for a session; switch it on, or the books stay open');
  const giveUpAt = performance.now() + PATIENCE_MS;
  while (!signal?.aborted) {
    const still = await pool.query<{ running: boolean }>(STILL_RUNNING, [running, now]);
    if (!still.rows[0]!.running) return;
    if (performance.now() > giveUpAt) {
      throw new PageNotSettledError(
        `a transaction has been open for more than ${PATIENCE_MS / 1000} s; end it (pg_stat_activity), or the books stay open`,
      );
    }
    await pause(POLL_MS, signal);
  }
}
