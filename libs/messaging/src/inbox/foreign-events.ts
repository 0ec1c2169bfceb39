// Events of foreign producers have no sequence: each (source, id) is applied once, for 90 days.
import type { OpenTransaction } from '@app/database';
import type { Pool } from 'pg';
import type { Envelope, ForeignEvent } from '../cloud-event.js';
import type { Item } from './item.js';

const REMEMBER = `
insert into messaging.foreign_events (inbox, source, id)
select $1, u.source, u.id from unnest($2::text[], $3::text[]) u (source, id) order by 2, 3
on conflict do nothing returning source, id`;

/** The foreign events among `items` that were never seen before; of several copies in the batch only the first. */
export async function firstSeen(tx: OpenTransaction, inbox: string, items: readonly Item[]): Promise<Set<Envelope>> {
  const foreign = items.flatMap(({ envelope, parked }) => (envelope.kind === 'foreign' && !parked ? [envelope] : []));
  if (foreign.length === 0) return new Set();
  const values = [inbox, foreign.map(({ source }) => source), foreign.map(({ id }) => id)];
  const { rows } = await tx.query<Pick<ForeignEvent, 'source' | 'id'>>(REMEMBER, values);
  const unseen = new Set(rows.map(keyOf));
  return new Set(foreign.filter((event) => unseen.delete(keyOf(event))));
}

/** Forgets what is older than 90 days: a copy that comes later would be applied again. */
export async function forgetOld(pool: Pool, inbox: string): Promise<void> {
  await pool.query(
    `delete from messaging.foreign_events where inbox = $1 and received_at < now() - interval '90 days'`,
    [inbox],
  );
}

const keyOf = ({ source, id }: Pick<ForeignEvent, 'source' | 'id'>) => JSON.stringify([source, id]);
