// Events that cannot be applied now, kept in the service's own database: nothing waits in the broker, and nothing is
// lost if its queue is deleted. Written in the transaction of the batch that met them.
import { sabotaged } from '@app/context';
import type { OpenTransaction } from '@app/database';
import { parseEventType } from '@app/contracts';
import { storable, type Envelope, type LoggedEvent } from '../cloud-event.js';
import type { Gate } from './gate.js';
import { retryDelay, type Failure, type Item, type ParkedState } from './item.js';

/** What is done with an item that does not go through. */
export interface Parking {
  item: Item;
  failure: Failure;
}

interface ParkedRow {
  source: string;
  epoch: string | null;
  aggregate: string | null;
  subject: string | null;
  sequence: number | null;
  page: number | null;
  event_id: string;
  type: string;
  state: ParkedState;
  attempts: number;
  due_in: number | null;
  error: string | null;
  body: string;
}

// Sorted: unsorted inserts of two processes deadlocked. A copy that is already parked stays as it is.
const PARK = `
insert into messaging.parked_events
  (inbox, source, epoch, aggregate, subject, sequence, page, event_id, type, state, attempts, due_at, error, body)
select $1, r.source, r.epoch, r.aggregate, r.subject, r.sequence, r.page, r.event_id, r.type, r.state, r.attempts,
       coalesce(now() + make_interval(secs => r.due_in), 'infinity'), r.error, convert_to(r.body, 'UTF8')
from json_to_recordset($2) as r (source text, epoch uuid, aggregate text, subject text, sequence bigint, page bigint,
     event_id text, type text, state text, attempts integer, due_in double precision, error text, body text)
order by 2, 3, 4, 5, 6 on conflict do nothing`;

const PARK_AGAIN = `
update messaging.parked_events p
set state = r.state, attempts = r.attempts, claimed_at = null, crashes = 0, error = coalesce(r.error, p.error),
    due_at = coalesce(now() + make_interval(secs => r.due_in), 'infinity')
from json_to_recordset($1) as r (id bigint, state text, attempts integer, due_in double precision, error text)
where p.id = r.id`;

/** Parks what arrived, updates what was parked before. */
export async function park(tx: OpenTransaction, inbox: string, parkings: readonly Parking[]): Promise<void> {
  const known = parkings.filter(({ item }) => item.parked);
  const fresh = parkings.filter(({ item }) => !item.parked);
  await Promise.all([
    fresh.length > 0 && tx.query(PARK, [inbox, JSON.stringify(fresh.map(toRow))]),
    known.length > 0 &&
      tx.query(PARK_AGAIN, [JSON.stringify(known.map((k) => ({ id: k.item.parked!.id, ...toRow(k) })))]),
  ]);
}

// Whichever way an event went through, a copy that is parked has had its effect: it would count twice in the books and
// hold up its stream.
const UNPARK = `
delete from messaging.parked_events p
using unnest($2::text[], $3::uuid[], $4::text[], $5::text[], $6::bigint[]) u (source, epoch, aggregate, subject, last)
where p.inbox = $1 and p.source = u.source and p.epoch = u.epoch and p.aggregate = u.aggregate and p.subject = u.subject
  and p.sequence <= u.last`;

// Whoever opens the way wakes the one that waited for it.
const WAKE = `
update messaging.parked_events p set due_at = now()
from unnest($2::text[], $3::uuid[], $4::text[], $5::text[], $6::bigint[]) u (source, epoch, aggregate, subject, last)
where p.inbox = $1 and p.source = u.source and p.epoch = u.epoch and p.aggregate = u.aggregate and p.subject = u.subject
  and p.sequence = u.last + 1 and p.state = 'waiting'`;

/**
 * Whether there are any: nearly always there are none, and then {@link unpark} need not look for each stream (a sixth of
 * what a batch costs the database). One that is parked meanwhile is found by the workers' look, as at any other moment.
 */
export async function hasParked(tx: OpenTransaction, inbox: string): Promise<boolean> {
  const sql = 'select exists (select from messaging.parked_events where inbox = $1) as found';
  const { rows } = await tx.query<{ found: boolean }>(sql, [inbox], 'has-parked');
  return rows[0]!.found;
}

const PARKED_STREAMS = `
select u.n::integer as n
from unnest($2::text[], $3::uuid[], $4::text[], $5::text[]) with ordinality u (source, epoch, aggregate, subject, n)
where exists (
  select from messaging.parked_events p
  where p.inbox = $1 and p.source = u.source and p.epoch = u.epoch and p.aggregate = u.aggregate and p.subject = u.subject)`;

/** The streams of `events` of which something is parked. */
export async function parkedStreams(
  tx: OpenTransaction,
  inbox: string,
  events: readonly LoggedEvent[],
): Promise<Set<string>> {
  const { rows } = await tx.query<{ n: number }>(PARKED_STREAMS, [
    inbox,
    events.map(({ source }) => source),
    events.map(({ epoch }) => epoch),
    events.map(({ aggregate }) => aggregate),
    events.map(({ subject }) => subject),
  ]);
  return new Set(rows.map(({ n }) => events[n - 1]!.stream));
}

/** Removes what went through: of logged events every copy, of foreign events those in `items`; wakes the successors. */
export async function unpark(
  tx: OpenTransaction,
  inbox: string,
  passed: Gate['passed'],
  items: readonly Item[],
): Promise<void> {
  const foreign = items.flatMap(({ envelope, parked }) => (envelope.kind === 'foreign' && parked ? [parked.id] : []));
  const streams = [
    inbox,
    passed.map(({ source }) => source),
    passed.map(({ epoch }) => epoch),
    passed.map(({ aggregate }) => aggregate),
    passed.map(({ subject }) => subject),
    passed.map(({ last }) => last),
  ];
  await Promise.all([
    passed.length > 0 && tx.query(UNPARK, streams),
    passed.length > 0 && !sabotaged('no-look-for-successors') && tx.query(WAKE, streams),
    foreign.length > 0 && tx.query('delete from messaging.parked_events where id = any($1::bigint[])', [foreign]),
  ]);
}

/** Keeps a message that nobody can read: its raw bytes and the reason. */
export async function parkUnreadable(
  db: { query(text: string, values: unknown[]): Promise<unknown> },
  inbox: string,
  message: { content: Buffer; headers: object; reason: string },
): Promise<void> {
  await db.query(
    `insert into messaging.parked_events (inbox, state, error, body, headers, due_at)
     values ($1, 'dead', $2, $3, $4, 'infinity') on conflict do nothing`,
    [inbox, message.reason, message.content, JSON.stringify(message.headers)],
  );
}

function toRow({ item, failure }: Parking): ParkedRow {
  const { envelope } = item;
  const attempts = (item.parked?.attempts ?? 0) + (failure.counts ? 1 : 0);
  const delay = dueIn(failure, attempts);
  const logged = envelope.kind === 'logged' ? envelope : undefined;
  return {
    source: envelope.source,
    epoch: logged?.epoch ?? null,
    aggregate: (logged && parseEventType(envelope.type)?.aggregate) ?? null,
    subject: envelope.subject ?? null,
    sequence: logged?.sequence ?? null,
    page: logged?.page ?? null,
    event_id: envelope.id,
    type: envelope.type,
    state: failure.state === 'retry' && delay === null ? 'dead' : failure.state,
    attempts,
    due_in: delay,
    error: failure.error ? storable(failure.error) : null,
    body: JSON.stringify(attributesOf(envelope)),
  };
}

function dueIn({ state, counts }: Failure, attempts: number): number | null {
  if (state === 'slow') return 0;
  if (state === 'retry') return counts ? (retryDelay(attempts) ?? null) : 1;
  return null; // until its predecessor is through, the service is updated, or somebody decides
}

/** As it came, without what only this process needs. */
function attributesOf(envelope: Envelope): object {
  const { kind: _kind, aggregate: _aggregate, stream: _stream, ...attributes } = envelope as LoggedEvent;
  return attributes;
}
