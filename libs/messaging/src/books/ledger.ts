// The subscriber's account, in SQL. Every step is one statement, so that a crash between two leaves it right.
import { isContention } from '@app/database';
import type { Statements } from './one-at-a-time.js';
import type { BooksGroup } from './protocol.js';

/** One aggregate of one life of a log. */
export interface Account {
  inbox: string;
  source: string;
  epoch: string;
  aggregate: string;
}

/** A page that does not balance. */
export interface Gap {
  epoch: string;
  aggregate: string;
  page: number;
  first: number;
  last: number;
  /** Recorded there, neither applied nor parked here; negative: more applied here than recorded there. */
  missing: number;
  /** Has been pulled in vain so often that its owner probably cannot send it now. */
  stuck: boolean;
}

type GapRow = Record<Exclude<keyof Gap, 'stuck'>, string> & { stuck: boolean; due: boolean };

/** Pulled in vain so often, which takes four minutes by default, a gap no longer holds up what lies behind it. */
const STUCK_PULLS = 4;
/** Pages compared in one statement: so many events may be parked in them that all at once take longer than a statement may. */
export const PAGES_AT_A_TIME = 25;
/** A statement that takes less says that more pages fit in. */
const QUICK_MS = 500;
/** So long one answer is compared at most; the next one goes on where it ends. */
const TAKE_MS = 10_000;
/** So long a gap is kept from others after its pull has asked for a chunk. */
const CLAIM_S = 30;

interface Queryable {
  query(sql: string, values: unknown[]): Promise<unknown>;
}

const keys = ({ inbox, source, epoch, aggregate }: Account) => [inbox, source, epoch, aggregate];

// A parked copy of an event that has gone through by another way counts as applied, not as parked.
const missingOf = (page: string) => `
${page}.recorded
- coalesce((select applied from messaging.inbox_pages i where i.inbox = $1 and i.source = $2 and i.epoch = ${page}.epoch
            and i.aggregate = ${page}.aggregate and i.page = ${page}.page), 0)
- (select count(distinct (k.subject, k.sequence)) from messaging.parked_events k
   left join messaging.inbox_streams s using (inbox, source, epoch, aggregate, subject)
   where k.inbox = $1 and k.source = $2 and k.epoch = ${page}.epoch and k.aggregate = ${page}.aggregate
     and k.page = ${page}.page and k.sequence > coalesce(s.last_sequence, 0))`;

// Takes an answer that begins where the account ends, or before: a stale one must not be folded over what it skips. What
// does not balance becomes a gap; the rest is folded.
const TAKE = `
with before as (
  select balanced_page from messaging.inbox_books where inbox = $1 and source = $2 and epoch = $3 and aggregate = $4),
account as (
  insert into messaging.inbox_books as b (inbox, source, epoch, aggregate, balanced_page)
  select $1, $2, $3, $4, $6 where $5 = 0 or exists (select from before)
  on conflict (inbox, source, epoch, aggregate) do update set balanced_page = excluded.balanced_page
  where b.balanced_page = (select balanced_page from before)
    and b.balanced_page >= $5 and b.balanced_page < excluded.balanced_page
  returning balanced_page),
page as (
  select r.*, $3::uuid as epoch, $4::text as aggregate
  from json_to_recordset($7) as r (page bigint, recorded bigint, first bigint, last bigint), account
  where r.page > coalesce((select balanced_page from before), 0)),
compared as (select page.*, ${missingOf('page')} as missing from page),
gap as (
  insert into messaging.inbox_gaps (inbox, source, epoch, aggregate, page, recorded, first_position, last_position, due_at)
  select $1, $2, $3, $4, page, recorded, first, last, now() + make_interval(secs => case when page > $8 then $9::float8 else 0 end)
  from compared where missing <> 0 on conflict do nothing)
select count(*)::int as pages from account`;

/**
 * Compares the pages of an answer with what was applied and parked here.
 *
 * @param upTo the page that the account is complete to afterwards, gaps excepted
 * @param recent pages behind this one may still be on the way: they are pulled `patienceS` seconds later
 * @param step how many pages fit into a statement, as far as is known; kept up to date
 * @returns false if the answer does not fit (any more) to what was compared here
 */
export async function takeAnswer(
  pool: Statements,
  account: Account,
  { after, pages }: Pick<BooksGroup, 'after' | 'pages'>,
  { upTo, recent, patienceS }: { upTo: number; recent: number; patienceS: number },
  step = { pages: PAGES_AT_A_TIME },
): Promise<boolean> {
  let isTaken = false;
  const started = performance.now();
  for (let from = 0, done = after; from === 0 || from < pages.length;) {
    const since = performance.now();
    if (since - started > TAKE_MS) return false;
    const some = pages.slice(from, from + step.pages);
    const end = from + step.pages >= pages.length ? upTo : some.at(-1)!.page;
    const values = [...keys(account), done, end, JSON.stringify(some), recent, patienceS];
    try {
      const { rows } = await pool.query<{ pages: number }>(TAKE, values);
      isTaken = rows[0]!.pages > 0; // those in front may have been taken from another answer
    } catch (error) {
      if (!isContention(error) || step.pages === 1) throw error;
      step.pages = Math.ceil(step.pages / 2);
      continue;
    }
    from += some.length || 1;
    done = end;
    if (performance.now() - since < QUICK_MS) step.pages = Math.min(PAGES_AT_A_TIME, 2 * step.pages);
  }
  return isTaken;
}

// Rows of pages that are compared and no gap go into the total, in one statement, so that nothing counts twice.
const FOLD = `
with gone as (
  delete from messaging.inbox_pages i using messaging.inbox_books b
  where i.inbox = $1 and i.source = $2 and b.inbox = $1 and b.source = $2 and b.epoch = i.epoch
    and b.aggregate = i.aggregate and i.page <= b.balanced_page
    and not exists (select from messaging.inbox_gaps g where g.inbox = $1 and g.source = $2 and g.epoch = i.epoch
                    and g.aggregate = i.aggregate and g.page = i.page)
  returning i.epoch, i.aggregate, i.applied)
update messaging.inbox_books b set folded = b.folded + total.applied
from (select epoch, aggregate, sum(applied) as applied from gone group by epoch, aggregate) total
where b.inbox = $1 and b.source = $2 and b.epoch = total.epoch and b.aggregate = total.aggregate`;

/** Folds the pages that balance into one total. */
export async function fold(pool: Statements, inbox: string, source: string): Promise<void> {
  await pool.query(FOLD, [inbox, source]);
}

/** Its log is held, or closed: nothing of it is compared or pulled. */
const isHeld = (gap: string) => `exists (
  select from messaging.inbox_holds h where h.inbox = ${gap}.inbox and h.source = ${gap}.source and h.epoch = ${gap}.epoch)`;

// Stuck ones take turns behind the others: they may be many, and some of them for ever.
const CLOSE = `
with compared as (
  select g.*, g.pulls >= ${STUCK_PULLS} as stuck, ${missingOf('g')} as missing from messaging.inbox_gaps g
  where g.inbox = $1 and g.source = $2 and not ${isHeld('g')}
  order by g.pulls >= ${STUCK_PULLS}, g.due_at > now(), case when g.pulls < ${STUCK_PULLS} then g.page end, g.due_at
  limit $3),
closed as (
  delete from messaging.inbox_gaps g using compared c
  where c.missing = 0 and g.inbox = $1 and g.source = $2 and g.epoch = c.epoch and g.aggregate = c.aggregate
    and g.page = c.page)
select epoch, aggregate, page, first_position as first, last_position as last, missing, stuck, due_at <= now() as due
from compared where missing <> 0 order by epoch, aggregate, page`;

/** Closes the gaps that balance by now. @returns those that do not, oldest first; of logs that are held, none */
export async function closeGaps(
  pool: Statements,
  inbox: string,
  source: string,
  limit: number,
): Promise<(Gap & { due: boolean })[]> {
  const { rows } = await pool.query<GapRow>(CLOSE, [inbox, source, limit]);
  return rows.map((row) => ({
    ...row,
    page: Number(row.page),
    first: Number(row.first),
    last: Number(row.last),
    missing: Number(row.missing),
  }));
}

const GAPS_OF = `inbox = $1 and source = $2 and epoch = $3 and aggregate = $4 and page = any($5::bigint[])`;

/** Keeps gaps from being pulled by others too, for half a minute; to be repeated while the pull goes on. */
export async function claimGaps(pool: Statements, account: Account, pages: readonly number[]): Promise<void> {
  await pool.query(`update messaging.inbox_gaps set due_at = now() + interval '${CLAIM_S} s' where ${GAPS_OF}`, [
    ...keys(account),
    pages,
  ]);
}

/** A pull was broken off, by no fault of the gaps: they are due again. */
export async function releaseGaps(pool: Statements, account: Account, pages: readonly number[]): Promise<void> {
  await pool.query(`update messaging.inbox_gaps set due_at = now() where ${GAPS_OF}`, [...keys(account), pages]);
}

/**
 * Gaps that have been pulled: the next time later and later – the log may have a hole.
 *
 * @param atMostS seconds that it waits at most; by default an hour
 */
export async function postpone(
  pool: Statements,
  account: Account,
  pages: readonly number[],
  intervalS: number,
  atMostS = 3_600,
): Promise<void> {
  await pool.query(
    `update messaging.inbox_gaps set pulls = pulls + 1,
            due_at = now() + make_interval(secs => least($7, $6 * power(2, least(pulls, 10))))
     where ${GAPS_OF}`,
    [...keys(account), pages, intervalS, atMostS],
  );
}

/** Their owner can send now what it could not before: gaps that are stuck, `after` < page ≤ `upTo`, are due. */
export async function hurryStuck(
  pool: Statements,
  { inbox, source }: Pick<Account, 'inbox' | 'source'>,
  { after, upTo }: { after: number; upTo: number },
): Promise<void> {
  await pool.query(
    `update messaging.inbox_gaps g set due_at = now()
     where inbox = $1 and source = $2 and page > $3 and page <= $4 and pulls >= ${STUCK_PULLS} and not ${isHeld('g')}`,
    [inbox, source, after, upTo],
  );
}

// Without its gap a page counts as compared, and is folded with what was applied.
const ACCEPT = `
delete from messaging.inbox_gaps g
where g.inbox = $1 and g.source = $2 and g.epoch = $3 and ${missingOf('g')} < 0`;

/** Somebody has decided that what was applied here beyond the owner's counts is right. */
export async function acceptSurplus(
  db: Queryable,
  { inbox, source, epoch }: Omit<Account, 'aggregate'>,
): Promise<void> {
  await db.query(ACCEPT, [inbox, source, epoch]);
}

/** How far every account of a source was compared, and how many gaps are to be pulled before more is compared. */
export async function progress(pool: Statements, inbox: string, source: string) {
  const { rows } = await pool.query<{ epoch: string; aggregate: string; after: number; gaps: number }>(
    `select epoch, aggregate, balanced_page::float8 as after,
            (select count(*)::int from messaging.inbox_gaps g
             where g.inbox = $1 and g.source = $2 and g.pulls < ${STUCK_PULLS} and not ${isHeld('g')}) as gaps
     from messaging.inbox_books where inbox = $1 and source = $2`,
    [inbox, source],
  );
  return { known: rows.map(({ epoch, aggregate, after }) => ({ epoch, aggregate, after })), gaps: rows[0]?.gaps ?? 0 };
}
