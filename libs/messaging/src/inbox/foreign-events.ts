// Events of foreign producers have no sequence: each (source, id) is applied once, for 90 days.
import type { OpenTransaction } from '@app/database';
import type { Pool } from 'pg';
import type { Envelope, ForeignEvent } from '../cloud-event.js';
import type { Item } from './item.js';

const REMEMBER = `
insert into messaging.foreign_events (inbox, source, id)
select $1, u.source, u.id from unnest($2::text[], $3::text[]) u (source, id) order by 2, 3
on conflict do nothing returning source, id`;

// Not the row itself: its claim has to be renewed meanwhile.
const TAKE_PARKED = `
select id from unnest($1::bigint[]) id where pg_try_advisory_xact_lock(hashtextextended('messaging.parked ' || id, 0))`;
const STILL_PARKED = 'select id from messaging.parked_events where id = any($1::bigint[])';

/**
 * The foreign events among `items` that have had no effect: those that were never seen before, of several copies in the batch only
 * the first; and parked ones, unless another process applies them now, or has.
 */
export async function withoutEffect(
  tx: OpenTransaction,
  inbox: string,
  items: readonly Item[],
): Promise<Set<Envelope>> {
  const [seen, parked] = await Promise.all([firstSeen(tx, inbox, items), stillParked(tx, items)]);
  return new Set([...seen, ...parked]);
}

/** They have no gate: whoever has taken one applies it, and deletes its row with the effect. */
async function stillParked(tx: OpenTransaction, items: readonly Item[]): Promise<Envelope[]> {
  const foreign = items.filter(({ envelope, parked }) => envelope.kind === 'foreign' && parked);
  if (foreign.length === 0) return [];
  const taken = await tx.query<{ id: string }>(TAKE_PARKED, [foreign.map(({ parked }) => parked!.id)]);
  // A statement of its own: it sees what was committed before the lock was free.
  const there = await tx.query<{ id: string }>(STILL_PARKED, [taken.rows.map(({ id }) => id)]);
  const mine = new Set(there.rows.map(({ id }) => id));
  return foreign.flatMap(({ envelope, parked }) => (mine.has(parked!.id) ? [envelope] : []));
}

/** The foreign events among `items` that were never seen before; of several copies only the first. */
export async function firstSeen(tx: OpenTransaction, inbox: string, items: readonly Item[]): Promise<Set<Envelope>> {
  const foreign = items.flatMap(({ envelope, parked }) => (envelope.kind === 'foreign' && !parked ? [envelope] : []));
  if (foreign.length === 0) return new Set();
  const values = [inbox, foreign.map(({ source }) => source), foreign.map(({ id }) => id)];
  const { rows } = await tx.query<Pick<ForeignEvent, 'source' | 'id'>>(REMEMBER, values);
  const unseen = new Set(rows.map(keyOf));
  return new Set(foreign.filter((event) => unseen.delete(keyOf(event))));
}

const SLICE = 10_000;
const FORGET = `
delete from messaging.foreign_events where ctid = any(array(
  select ctid from messaging.foreign_events where inbox = $1 and received_at < now() - interval '90 days' limit ${SLICE}))`;

/** Forgets what is older than 90 days: a copy that comes later would be applied again. In slices, however much it is. */
export async function forgetOld(pool: Pool, inbox: string): Promise<void> {
  while ((await pool.query(FORGET, [inbox])).rowCount === SLICE);
}

const keyOf = ({ source, id }: Pick<ForeignEvent, 'source' | 'id'>) => JSON.stringify([source, id]);
