// Looks at parked events: which, why, since when, and who is the first of its stream. Reads only.
import type { Database } from '@app/database';
import { OperationError, select } from './operation.js';

/** Which parked events; everything that is given must match. */
export interface ParkedFilter {
  inbox?: string | undefined;
  state?: string | undefined;
  type?: string | undefined;
  /** A part of the first line of the error, such as its class. */
  error?: string | undefined;
  source?: string | undefined;
  subject?: string | undefined;
  /** A group of {@link parkedGroups}. */
  group?: string | undefined;
}

export interface ParkedEvent {
  id: string;
  inbox: string;
  state: string;
  type: string | null;
  source: string | null;
  subject: string | null;
  sequence: number | null;
  attempts: number;
  /** `null`: not by itself. */
  dueAt: Date | null;
  parkedAt: Date;
  /** The first line. */
  error: string;
  group: string;
  /** Whether it can be acted on: the first of its stream, or without one. */
  head: boolean;
  /** Whether a worker is at it. */
  claimed: boolean;
}

export interface ParkedGroup {
  group: string;
  type: string | null;
  error: string;
  events: number;
  /** Of them given up, or never readable. */
  dead: number;
  attempts: number;
  oldest: Date;
  nextDue: Date | null;
}

const FIRST_LINE = `left(split_part(coalesce(p.error, ''), chr(10), 1), 300)`;
// Ids and numbers differ from event to event; the trouble is the same.
const TROUBLE = `regexp_replace(${FIRST_LINE}, '[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[0-9]+', '#', 'gi')`;
const GROUP = `left(md5(coalesce(p.type, '') || chr(10) || ${TROUBLE}), 8)`;
const DUE = `case when isfinite(p.due_at) and p.state <> 'dead' then p.due_at end`;
const SAME_STREAM = `q.inbox = p.inbox and q.source = p.source and q.epoch = p.epoch and q.aggregate = p.aggregate and q.subject = p.subject`;
/** The first parked event of its stream, or one that has no stream. */
export const IS_HEAD = `(p.sequence is null or not exists (
  select from messaging.parked_events q where ${SAME_STREAM} and q.sequence < p.sequence))`;

const COLUMNS = `
p.id, p.inbox, p.state, p.type, p.source, p.subject, p.sequence::float8 as sequence, p.attempts, ${DUE} as "dueAt",
p.parked_at as "parkedAt", ${FIRST_LINE} as error, ${GROUP} as "group", ${IS_HEAD} as head,
p.claimed_at is not null and p.due_at > now() as claimed`;

/** Groups are made of this many events at most: the oldest. */
const GROUPED = 50_000;

/** The condition of a filter on `parked_events p`; its values follow those already in `values`. */
export function matching(filter: ParkedFilter, values: unknown[] = []): { sql: string; values: unknown[] } {
  const all = [...values];
  const terms: string[] = [];
  const add = (term: (parameter: string) => string, value: string | undefined) => {
    if (value === undefined) return;
    all.push(value);
    terms.push(term(`$${all.length}`));
  };
  add((p) => `p.inbox = ${p}`, filter.inbox);
  add((p) => `p.state = ${p}`, filter.state);
  add((p) => `p.type = ${p}`, filter.type);
  add((p) => `p.source = ${p}`, filter.source && sourceOf(filter.source));
  add((p) => `p.subject = ${p}`, filter.subject);
  add((p) => `strpos(lower(${FIRST_LINE}), lower(${p})) > 0`, filter.error);
  add((p) => `${GROUP} = ${p}`, filter.group);
  return { sql: terms.length > 0 ? terms.join(' and ') : 'true', values: all };
}

/** `users` and `/users` are the same source. */
export const sourceOf = (text: string): string => (/^[a-z][a-z0-9-]*$/.test(text) ? `/${text}` : text);

/** Parked events, oldest first. `after`: the id of the last one seen. */
export async function listParked(
  database: Database,
  filter: ParkedFilter = {},
  { limit = 50, after = '0' }: { limit?: number; after?: string } = {},
): Promise<ParkedEvent[]> {
  const { sql, values } = matching(filter, [after, limit]);
  return select(
    database,
    `select ${COLUMNS} from messaging.parked_events p where p.id > $1 and ${sql} order by p.id limit $2`,
    values,
  );
}

/** Parked events by type and error, the largest group first. Of more than 50 000 events the oldest are grouped. */
export async function parkedGroups(database: Database, filter: ParkedFilter = {}): Promise<ParkedGroup[]> {
  const { sql, values } = matching(filter);
  return select(
    database,
    `select "group", type, min(error) as error, count(*)::int as events, count(*) filter (where state = 'dead')::int as dead,
            max(attempts) as attempts, min(parked_at) as oldest, min(due) as "nextDue"
     from (select ${GROUP} as "group", p.type, ${FIRST_LINE} as error, p.state, p.attempts, p.parked_at, ${DUE} as due
           from messaging.parked_events p where ${sql} order by p.id limit ${GROUPED}) p
     group by "group", type order by events desc, oldest`,
    values,
  );
}

export interface ParkedDetails extends ParkedEvent {
  epoch: string | null;
  aggregate: string | null;
  page: number | null;
  eventId: string | null;
  /** With its stack. */
  fullError: string | null;
  /** The event, if it can be read. */
  event?: unknown;
  /** Its bytes, if not. */
  raw?: Buffer;
  /** What the broker said about a message that could not be read. */
  headers: Record<string, unknown> | null;
  stream: Stand | null;
}

/** Where a stream stands. */
export interface Stand {
  /** The last sequence that went through the gate. */
  applied: number;
  /** The first parked event of the stream. */
  headId: string;
  headSequence: number;
  parked: number;
}

/** @throws {@link OperationError} if there is no such parked event (any more) */
export async function showParked(database: Database, id: string): Promise<ParkedDetails> {
  if (!/^\d{1,18}$/.test(id))
    throw new OperationError('invalid', `"${id}" is not the id of a parked event: it is a number.`);
  const [row] = await select<Omit<ParkedDetails, 'event' | 'raw' | 'stream'> & { body: Buffer }>(
    database,
    `select ${COLUMNS}, p.epoch, p.aggregate, p.page::float8 as page, p.event_id as "eventId", p.error as "fullError",
            p.body, p.headers
     from messaging.parked_events p where p.id = $1`,
    [id],
  );
  if (!row) throw gone(id);
  const { body, ...details } = row;
  const stream = row.sequence === null ? null : await standOf(database, id);
  return row.source === null
    ? { ...details, raw: body, stream }
    : { ...details, event: JSON.parse(body.toString('utf8')) as unknown, stream };
}

export const gone = (id: string) =>
  new OperationError('not-found', `There is no parked event ${id} (any more): it went through, or was skipped.`);

async function standOf(database: Database, id: string): Promise<Stand | null> {
  const [stand] = await select<Stand>(
    database,
    `select coalesce(s.last_sequence, 0)::float8 as applied, h.id as "headId", h.sequence::float8 as "headSequence", h.parked
     from messaging.parked_events p
     cross join lateral (
       select (array_agg(q.id order by q.sequence, q.id))[1] as id, min(q.sequence) as sequence, count(*)::int as parked
       from messaging.parked_events q where ${SAME_STREAM}) h
     left join messaging.inbox_streams s
       on s.inbox = p.inbox and s.source = p.source and s.epoch = p.epoch and s.aggregate = p.aggregate and s.subject = p.subject
     where p.id = $1`,
    [id],
  );
  return stand ?? null;
}
