// How far publishing is behind. Cheap in any state: nothing here walks the log or a large outbox.
import type { Database } from '@app/database';
import { listUnpublishable, type Unpublishable } from '../outbox/unpublishable.js';
import { select } from './operation.js';
import { listPauses, type Pause } from './pauses.js';

/** What the active relay has locked. */
const RELAY_LOCK_KEY = 'messaging.relay';
/** Up to here the outbox is counted; beyond, the number of positions it spans is the upper bound that is shown. */
export const COUNTED = 10_000;

export interface OutboxStatus {
  /** Events that the broker has not confirmed. */
  pending: number;
  /** `pending` is exact; else it is an upper bound. */
  exact: boolean;
  /** Of the pending events, in memory of the relay; an estimate if `pending` is. */
  bytes: number;
  oldestAt: Date | null;
  /** Events that the broker refuses; the first of each stream, its successors wait behind it. */
  unpublishable: Unpublishable[];
  relay: ActiveRelay | null;
  /** An operator has paused publishing. */
  paused: Pause | null;
}

/** The process that publishes. */
export interface ActiveRelay {
  /** What it calls itself. */
  name: string;
  address: string | null;
  since: Date;
}

export interface OutboxSize {
  pending: number;
  exact: boolean;
  oldestAt: Date | null;
}

const SIZE = `
select least(n, ${COUNTED}) as counted, n > ${COUNTED} as more, span::float8 as span,
       (select recorded_at from messaging.events where position = first) as "oldestAt"
from (select (select count(*)::int from (select from messaging.outbox limit ${COUNTED + 1}) o) as n,
             min(position) as first, max(position) - min(position) + 1 as span from messaging.outbox) o`;

/** How many events wait and since when; milliseconds, also behind millions. */
export async function outboxSize(database: Database): Promise<OutboxSize> {
  const [row] = await select<{ counted: number; more: boolean; span: number | null; oldestAt: Date | null }>(
    database,
    SIZE,
  );
  const { counted, more, span, oldestAt } = row!;
  return { pending: more ? (span ?? counted) : counted, exact: !more, oldestAt };
}

/** What waits in the outbox, why, and who publishes. */
export async function outboxStatus(database: Database): Promise<OutboxStatus> {
  const [size, bytes, unpublishable, relay, pauses] = await Promise.all([
    outboxSize(database),
    select<{ bytes: number; n: number }>(
      database,
      `select coalesce(sum(bytes), 0)::float8 as bytes, count(*)::int as n
       from (select bytes from messaging.outbox order by position limit ${COUNTED}) o`,
    ),
    database.transaction((tx) => listUnpublishable(tx)),
    activeRelay(database),
    listPauses(database),
  ]);
  const { bytes: counted, n } = bytes[0]!;
  return {
    ...size,
    bytes: size.exact || n === 0 ? counted : Math.round((counted / n) * size.pending),
    unpublishable,
    relay,
    paused: pauses.find(({ scope }) => scope === 'relay') ?? null,
  };
}

/** Whoever holds the relay's lock. */
async function activeRelay(database: Database): Promise<ActiveRelay | null> {
  const [row] = await select<ActiveRelay>(
    database,
    `select a.application_name as name, host(a.client_addr) || ':' || a.client_port as address, a.backend_start as since
     from pg_locks l join pg_stat_activity a using (pid)
     where l.locktype = 'advisory' and l.granted and l.objsubid = 1
       and l.database = (select oid from pg_database where datname = current_database())
       and (l.classid::bigint << 32) + l.objid::bigint = hashtextextended($1, 0)`,
    [RELAY_LOCK_KEY],
  );
  return row ?? null;
}
