// The rows of timers. Claiming never waits for a lock while it holds others, so that it cannot deadlock with commands that
// record events of the same streams, or cancel timers, in whatever order.
import type { OpenTransaction } from '@app/database';

/** A timer that is due. */
export interface TimerRow {
  id: string;
  type: string;
  aggregate: string;
  subject: string;
  correlation_id: string;
  causation_id: string | null;
  traceparent: string | null;
  data: object;
  overdue_ms: number;
}

const COLUMNS = `t.id, t.type, t.aggregate, t.subject, t.correlation_id, t.causation_id, t.traceparent, t.data,
  extract(epoch from now() - t.due_at)::float8 * 1000 as overdue_ms`;
const IS_DUE = 't.error is null and t.due_at <= now()';

const CLAIM = `
select ${COLUMNS} from messaging.timers t where ${IS_DUE} and t.id <> all($1::uuid[])
order by t.due_at, t.id limit $2 for update skip locked`;
const CLAIM_ONE = `select ${COLUMNS} from messaging.timers t where ${IS_DUE} and t.id = $1 for update skip locked`;

const FREE_STREAMS = `
select s.aggregate, s.subject from messaging.streams s
join (select distinct * from unnest($1::text[], $2::text[]) u (aggregate, subject)) u using (aggregate, subject)
where s.epoch = (select epoch from messaging.log) for update of s skip locked`;
const BUSY_STREAMS = `
select s.aggregate, s.subject from messaging.streams s
join (select distinct * from unnest($1::text[], $2::text[]) u (aggregate, subject)) u using (aggregate, subject)
where s.epoch = (select epoch from messaging.log)`;
const LOCK_STREAM = `
select from messaging.streams where epoch = (select epoch from messaging.log) and aggregate = $1 and subject = $2 for update`;

/** What is due, and which of it belongs to a stream that somebody is writing to at this moment. */
export interface Claim {
  free: TimerRow[];
  busy: TimerRow[];
}

/** Locks up to `limit` timers that are due, the oldest first, but for `except`; and the streams of those that are free. */
export async function claim(tx: OpenTransaction, except: readonly string[], limit: number): Promise<Claim> {
  const { rows } = await tx.query<TimerRow>(CLAIM, [except, limit]);
  if (rows.length === 0) return { free: [], busy: [] };
  const streams = [rows.map(({ aggregate }) => aggregate), rows.map(({ subject }) => subject)];
  const [locked, existing] = await Promise.all([
    tx.query<TimerRow>(FREE_STREAMS, streams),
    tx.query<TimerRow>(BUSY_STREAMS, streams),
  ]);
  const mine = new Set(locked.rows.map(streamOf));
  const known = new Set(existing.rows.map(streamOf));
  const isFree = (row: TimerRow) => mine.has(streamOf(row)) || !known.has(streamOf(row));
  return { free: rows.filter(isFree).sort(byStream), busy: rows.filter((row) => !isFree(row)) };
}

/** Waits for the stream and takes this one timer, if it is still there. */
export async function claimOne(tx: OpenTransaction, { id, aggregate, subject }: TimerRow): Promise<TimerRow[]> {
  await tx.query(LOCK_STREAM, [aggregate, subject]);
  return (await tx.query<TimerRow>(CLAIM_ONE, [id])).rows;
}

/** The timers have fired. */
export const remove = (tx: OpenTransaction, timers: readonly TimerRow[]) =>
  tx.query('delete from messaging.timers where id = any($1::uuid[])', [timers.map(({ id }) => id)]);

const streamOf = ({ aggregate, subject }: Pick<TimerRow, 'aggregate' | 'subject'>) => `${aggregate} ${subject}`;

/** The order in which streams are created, so that two workers cannot wait for each other; the oldest of a stream first. */
const byStream = (one: TimerRow, other: TimerRow) =>
  compare(streamOf(one), streamOf(other)) || other.overdue_ms - one.overdue_ms || compare(one.id, other.id);

const compare = (one: string, other: string) => (one < other ? -1 : Number(one > other));
