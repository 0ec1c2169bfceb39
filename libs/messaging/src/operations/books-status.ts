// Both sides of the books, readable. The owner's side is in the owner's database: shown where that can be reached.
import type { Database } from '@app/database';
import { OperationError, perform, select, type ActionOptions, type Effect } from './operation.js';

/** One inbox's account of one aggregate of one log. */
export interface Account {
  inbox: string;
  source: string;
  epoch: string;
  aggregate: string;
  /** Up to this page everything is here. */
  balancedPage: number;
  /** Events the gate let through, in all pages. */
  applied: number;
  parked: number;
  /** Of the pages behind `balancedPage`. */
  open: { page: number; applied: number; parked: number }[];
  askedAt: Date | null;
  held: string | null;
}

/** Pages of one aggregate as their owner counts them. */
export interface OwnersPages {
  aggregate: string;
  epoch: string;
  settledPage: number;
  /** Settled pages behind the one asked for. */
  pages: { page: number; recorded: number }[];
}

/** Shown at most, for each account. */
const PAGES = 100;

const ACCOUNTS = `
with account as (
  select inbox, source, epoch, aggregate from messaging.inbox_books
  union select distinct inbox, source, epoch, aggregate from messaging.inbox_pages)
select a.*, coalesce(b.balanced_page, 0)::float8 as "balancedPage", s.asked_at as "askedAt", h.reason as held,
       (coalesce(b.folded, 0) + coalesce((select sum(applied) from messaging.inbox_pages i where (i.inbox, i.source, i.epoch, i.aggregate)
         = (a.inbox, a.source, a.epoch, a.aggregate)), 0))::float8 as applied,
       (select count(*)::int from messaging.parked_events p where (p.inbox, p.source, p.epoch, p.aggregate)
         = (a.inbox, a.source, a.epoch, a.aggregate)) as parked,
       coalesce((select json_agg(o) from (
         select page::float8 as page, sum(applied)::float8 as applied, sum(parked)::int as parked from (
           select page, applied, 0 as parked from messaging.inbox_pages i
           where (i.inbox, i.source, i.epoch, i.aggregate) = (a.inbox, a.source, a.epoch, a.aggregate)
           union all
           select page, 0, 1 from messaging.parked_events p
           where (p.inbox, p.source, p.epoch, p.aggregate) = (a.inbox, a.source, a.epoch, a.aggregate)) pages
         where page > coalesce(b.balanced_page, 0) group by page order by page limit ${PAGES}) o), '[]') as open
from account a
left join messaging.inbox_books b using (inbox, source, epoch, aggregate)
left join messaging.inbox_sources s using (inbox, source)
left join messaging.inbox_holds h using (inbox, source, epoch)
order by inbox, source, aggregate, epoch`;

/** The subscriber's side. */
export const accounts = (database: Database): Promise<Account[]> => select(database, ACCOUNTS);

/** The owner's side of one account; to be read from the owner's database. */
export async function ownersPages(
  owner: Database,
  { aggregate, epoch, balancedPage }: Pick<Account, 'aggregate' | 'epoch' | 'balancedPage'>,
): Promise<OwnersPages> {
  const [log] = await select<{ settledPage: number }>(
    owner,
    'select settled_page::float8 as "settledPage" from messaging.log',
  );
  const pages = await select<{ page: number; recorded: number }>(
    owner,
    `select page::float8 as page, recorded::float8 as recorded from messaging.pages
     where aggregate = $1 and epoch = $2 and page > $3 order by page limit ${PAGES}`,
    [aggregate, epoch, balancedPage],
  );
  return { aggregate, epoch, settledPage: log!.settledPage, pages };
}

/** A page as both sides count it; `missing` > 0: lost on the way and about to be pulled; < 0: a fork. */
export interface Page {
  page: number;
  recorded: number;
  applied: number;
  parked: number;
  missing: number;
}

/** Settled pages that are not known to balance yet. */
export function compare({ open }: Pick<Account, 'open'>, { pages }: Pick<OwnersPages, 'pages'>): Page[] {
  const mine = new Map(open.map((page) => [page.page, page]));
  return pages.map(({ page, recorded }) => {
    const { applied = 0, parked = 0 } = mine.get(page) ?? {};
    return { page, recorded, applied, parked, missing: recorded - applied - parked };
  });
}

/** Makes the inboxes compare their books at the next opportunity (within some ten seconds) and pull what is missing. */
export async function requestReplay(
  database: Database,
  { inbox }: { inbox?: string | undefined },
  options: ActionOptions,
): Promise<Effect> {
  return perform(database, 'replay', { inbox: inbox ?? null }, options, async (tx) => {
    const { rowCount } = await tx.query(
      `update messaging.inbox_sources set asked_at = '-infinity' where $1::text is null or inbox = $1`,
      [inbox ?? null],
    );
    if (!rowCount)
      throw new OperationError(
        'not-found',
        inbox ? `There is no inbox "${inbox}" that hears anything.` : 'This service hears nothing.',
      );
    return { affected: rowCount };
  });
}
