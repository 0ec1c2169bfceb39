import type { Pool } from 'pg';
import type { BooksPage } from './protocol.js';

/** A page of the owner's books compared with ours. */
export interface Balance extends BooksPage {
  /** Recorded there, neither applied nor parked here; negative: more applied here than recorded there. */
  missing: number;
}

const COMPARE = `
with page as (
  select * from json_to_recordset($3)
    as r (page bigint, epoch uuid, aggregate text, recorded bigint, first bigint, last bigint))
select p.page, p.epoch, p.aggregate, p.recorded, p.first, p.last,
       p.recorded - coalesce(i.applied, 0)
       - (select count(*) from messaging.parked_events k where k.inbox = $1 and k.source = $2 and k.epoch = p.epoch
          and k.aggregate = p.aggregate and k.page = p.page) as missing
from page p
left join messaging.inbox_books b
  on b.inbox = $1 and b.source = $2 and b.epoch = p.epoch and b.aggregate = p.aggregate
left join messaging.inbox_pages i
  on i.inbox = $1 and i.source = $2 and i.epoch = p.epoch and i.aggregate = p.aggregate and i.page = p.page
where p.page > coalesce(b.balanced_page, 0)
order by p.epoch, p.aggregate, p.page`;

/** Compares settled pages that are not balanced yet, in the order of the log. */
export async function compare(
  pool: Pool,
  inbox: string,
  source: string,
  pages: readonly BooksPage[],
): Promise<Balance[]> {
  if (pages.length === 0) return [];
  const { rows } = await pool.query<Record<keyof Balance, string>>(COMPARE, [inbox, source, JSON.stringify(pages)]);
  return rows.map((row) => ({
    epoch: row.epoch,
    aggregate: row.aggregate,
    page: Number(row.page),
    recorded: Number(row.recorded),
    first: Number(row.first),
    last: Number(row.last),
    missing: Number(row.missing),
  }));
}

// The rows are deleted and added to the total in one statement, so that a crash cannot count them twice.
const FOLD = `
with gone as (
  delete from messaging.inbox_pages
  where inbox = $1 and source = $2 and epoch = $3 and aggregate = $4 and page <= $5 returning applied)
insert into messaging.inbox_books as b (inbox, source, epoch, aggregate, balanced_page, folded)
select $1, $2, $3, $4, $5, coalesce(sum(applied), 0) from gone
on conflict (inbox, source, epoch, aggregate) do update
set balanced_page = greatest(b.balanced_page, excluded.balanced_page), folded = b.folded + excluded.folded`;

/** Everything up to `page` balances: its rows are no longer needed. Parked events of it are safe in this database. */
export async function fold(
  pool: Pool,
  { inbox, source, epoch, aggregate }: { inbox: string; source: string; epoch: string; aggregate: string },
  page: number,
): Promise<void> {
  await pool.query(FOLD, [inbox, source, epoch, aggregate, page]);
}
