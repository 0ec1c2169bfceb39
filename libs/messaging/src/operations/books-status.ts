// Both sides of the books, readable: what this service has recorded, what it has applied of every log, and which pages are
// missing something.
import type { Database } from '@app/database';
import { OperationError, perform, select, type ActionOptions, type Effect } from './operation.js';

/** One inbox's account of one aggregate of one log. */
export interface Account {
  inbox: string;
  source: string;
  epoch: string;
  aggregate: string;
  /** Up to this page everything is here, gaps excepted. */
  balancedPage: number;
  /** Events that the gate let through. */
  applied: number;
  parked: number;
  /** Pages that miss something, oldest first, 100 at most. */
  gaps: Gap[];
  /** When its owner was asked last. */
  askedAt: Date | null;
  /** Why nothing of it is applied, if so. */
  held: string | null;
}

/** A page of which not everything is here; `missing` < 0: more was applied than its owner has recorded. */
export interface Gap {
  page: number;
  recorded: number;
  applied: number;
  parked: number;
  missing: number;
  /** How often it was pulled. */
  pulls: number;
}

const same = (table: string) =>
  `${table}.inbox = a.inbox and ${table}.source = a.source and ${table}.epoch = a.epoch and ${table}.aggregate = a.aggregate`;

const ACCOUNTS = `
with account as (
  select inbox, source, epoch, aggregate from messaging.inbox_books
  union select inbox, source, epoch, aggregate from messaging.inbox_pages)
select a.*, coalesce(b.balanced_page, 0)::float8 as "balancedPage",
       case when h.closed_at is null then h.reason end as held,
       case when isfinite(s.asked_at) then s.asked_at end as "askedAt",
       (coalesce(b.folded, 0) + coalesce((select sum(applied) from messaging.inbox_pages i where ${same('i')}), 0))::float8
         as applied,
       (select count(*)::int from messaging.parked_events p where ${same('p')}) as parked,
       coalesce((select json_agg(json_build_object(
           'page', g.page, 'recorded', g.recorded, 'applied', g.applied, 'parked', g.parked,
           'missing', g.recorded - g.applied - g.parked, 'pulls', g.pulls) order by g.page)
         from (select g.page, g.recorded, g.pulls, coalesce(i.applied, 0) as applied,
                      (select count(distinct (p.subject, p.sequence)) from messaging.parked_events p
                       where ${same('p')} and p.page = g.page) as parked
               from messaging.inbox_gaps g left join messaging.inbox_pages i using (inbox, source, epoch, aggregate, page)
               where ${same('g')} order by g.page limit 100) g), '[]') as gaps
from account a
left join messaging.inbox_books b using (inbox, source, epoch, aggregate)
left join messaging.inbox_sources s using (inbox, source)
left join messaging.inbox_holds h using (inbox, source, epoch)
order by inbox, source, aggregate, epoch`;

/** What was applied of which log. */
export const accounts = (database: Database): Promise<Account[]> => select(database, ACCOUNTS);

/** The owner's side of one account; to be read from the owner's database. */
export interface OwnersSide {
  /** Pages up to this one are final. */
  settledPage: number;
  /** Events in them. */
  recorded: number;
}

/** What the owner of a log has recorded. */
export async function ownersSide(
  owner: Database,
  { aggregate, epoch }: Pick<Account, 'aggregate' | 'epoch'>,
): Promise<OwnersSide> {
  const [side] = await select<OwnersSide>(
    owner,
    `select settled_page::float8 as "settledPage",
            (select coalesce(sum(recorded), 0)::float8 from messaging.pages where aggregate = $1 and epoch = $2) as recorded
     from messaging.log`,
    [aggregate, epoch],
  );
  return side!;
}

/** The service's own log. */
export interface Recorded {
  /** Pages up to this one are final. */
  settledPage: number;
  /** Events in them. */
  accounts: { aggregate: string; epoch: string; recorded: number }[];
}

const RECORDED = `
select settled_page::float8 as "settledPage",
       coalesce((select json_agg(p order by p.aggregate, p.epoch)
         from (select aggregate, epoch, sum(recorded)::float8 as recorded from messaging.pages
               group by aggregate, epoch) p), '[]') as accounts
from messaging.log`;

/** What the service has recorded itself: the other side of what {@link accounts} of its subscribers say. */
export async function recorded(database: Database): Promise<Recorded> {
  const [log] = await select<Recorded>(database, RECORDED);
  return log!;
}

/** Makes the inboxes compare their books at the next opportunity (within some ten seconds) and pull what is missing. */
export async function requestReplay(
  database: Database,
  { inbox = null }: { inbox?: string | null | undefined },
  options: ActionOptions,
): Promise<Effect> {
  return perform(database, 'replay', { inbox }, options, async (tx) => {
    const mine = '$1::text is null or inbox = $1';
    const { rowCount } = await tx.query(`update messaging.inbox_sources set asked_at = '-infinity' where ${mine}`, [
      inbox,
    ]);
    if (!rowCount) {
      const nobody = inbox ? `There is no inbox "${inbox}" that hears anything.` : 'This service hears nothing.';
      throw new OperationError('not-found', nobody);
    }
    await tx.query(`update messaging.inbox_gaps set due_at = now() where ${mine}`, [inbox]);
    return { affected: rowCount };
  });
}
