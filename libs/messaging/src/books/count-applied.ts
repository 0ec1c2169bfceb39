import { preparedAs, type OpenTransaction } from '@app/database';
import type { LoggedEvent } from '../cloud-event.js';

const COUNT = `
insert into messaging.inbox_pages (inbox, source, epoch, aggregate, page, applied)
select $1, u.* from unnest($2::text[], $3::uuid[], $4::text[], $5::bigint[], $6::bigint[]) u order by 2, 3, 4, 5
on conflict (inbox, source, epoch, aggregate, page) do update set applied = inbox_pages.applied + excluded.applied`;
const countName = preparedAs('count-applied');

type Counted = Pick<LoggedEvent, 'source' | 'epoch' | 'aggregate' | 'page'>;

/**
 * Enters into the books how many events of each page went through the gate. In the transaction that applies them, and
 * last in it, together with COMMIT, so that the rows are locked only for that.
 */
export function countApplied(tx: OpenTransaction, inbox: string, advanced: readonly Counted[]): void {
  if (advanced.length === 0) return;
  const rows = pagesOf(advanced);
  const values = [
    inbox,
    rows.map(({ event }) => event.source),
    rows.map(({ event }) => event.epoch),
    rows.map(({ event }) => event.aggregate),
    rows.map(({ event }) => event.page),
    rows.map(({ applied }) => applied),
  ];
  tx.queryLater(COUNT, values, countName());
}

interface Page {
  event: Counted;
  applied: number;
}

function pagesOf(events: readonly Counted[]): Page[] {
  const pages = new Map<string, Page>();
  let page: Page | undefined;
  for (const event of events) {
    if (!page || !isSamePage(page.event, event)) {
      const key = `${event.source} ${event.epoch} ${event.aggregate} ${event.page}`;
      page = pages.get(key);
      if (!page) pages.set(key, (page = { event, applied: 0 }));
    }
    page.applied++;
  }
  return [...pages.values()];
}

/** Of two events in a row, nearly always; to compare is cheaper than to make a key for each of them. */
const isSamePage = (one: Counted, other: Counted): boolean =>
  one.page === other.page &&
  one.aggregate === other.aggregate &&
  one.source === other.source &&
  one.epoch === other.epoch;
