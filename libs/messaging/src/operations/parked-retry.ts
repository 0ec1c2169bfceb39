// Makes parked events due now. The workers do the rest; nothing is applied here.
import type { Database } from '@app/database';
import { contracts } from '@app/contracts';
import { decode, UnreadableMessageError, type Envelope } from '../cloud-event.js';
import { firstSeen } from '../inbox/foreign-events.js';
import type { Item } from '../inbox/item.js';
import { park, type Parking } from '../inbox/parked-events.js';
import { namesOf } from '../options.js';
import { OperationError, perform, select, type ActionOptions, type Effect } from './operation.js';
import { gone, IS_HEAD, matching, showParked, type ParkedDetails, type ParkedFilter } from './parked-query.js';

/** Events in one transaction, each with its own line in the audit. */
const BATCH = 1_000;

// A row that a worker has claimed is left alone: to the worker a second claim looks like a crash.
const FREE = `(p.claimed_at is null or p.due_at <= now())`;
const DUE_NOW = `
due_at = now(), claimed_at = null, crashes = 0, attempts = case state when 'dead' then 0 else attempts end,
state = case state when 'dead' then 'retry' else state end`;

/** What became of the events of a group. */
export interface GroupEffect extends Effect {
  /** Events behind the ones that were acted on: they follow by themselves. */
  behind: number;
  /** Events that could not be acted on, and why. */
  refused: { id: string; reason: string }[];
}

/**
 * Tries one parked event again, now. A dead one starts with attempt 1; one that could not be read is decoded again.
 *
 * @throws {@link OperationError} if it is not the first of its stream (the error names that one), or still unreadable
 */
export async function retryParked(
  database: Database,
  id: string,
  options: ActionOptions,
): Promise<Effect & { decoded?: number }> {
  const event = await showParked(database, id);
  if (event.source === null) return decodeAgain(database, event, options);
  requireHead(event);
  const { applied } = event.stream ?? { applied: 0 };
  if (event.sequence !== null && event.sequence > applied + 1) throw missing(event);
  return perform(database, 'parked.retry', aboutOf(event), options, async (tx) => {
    const { rowCount } = await tx.query(`update messaging.parked_events p set ${DUE_NOW} where id = $1 and ${FREE}`, [
      id,
    ]);
    if (rowCount === 0) throw new OperationError('conflict', `Event ${id} is being tried right now.`);
    return { affected: 1 };
  });
}

/** Tries the first event of every stream that matches; the ones behind follow. */
export async function retryGroup(
  database: Database,
  filter: ParkedFilter,
  options: ActionOptions,
): Promise<GroupEffect> {
  const effect: GroupEffect = { affected: 0, behind: await countBehind(database, filter), refused: [] };
  for (let after = '0'; ;) {
    const { sql, values } = matching(filter, [after, BATCH]);
    const batch = await perform(database, 'parked.retry', { filter, after }, options, async (tx) => {
      const { rows } = await tx.query<{ id: string; last: string }>(
        `with heads as materialized (
           select p.id from messaging.parked_events p
           where p.id > $1 and p.source is not null and ${sql} and ${IS_HEAD} and ${FREE}
           order by p.id limit $2 for update of p skip locked),
         done as (update messaging.parked_events p set ${DUE_NOW} from heads where p.id = heads.id returning p.id)
         select id, max(id) over () as last from done`,
        values,
      );
      return { affected: rows.length, last: rows[0]?.last };
    });
    effect.affected += batch.affected;
    if (!batch.last || batch.affected < BATCH) break;
    after = batch.last;
  }
  return decodeGroupAgain(database, filter, options, effect);
}

/** Events that match but are not the first of their stream; at most 10 001 are counted. */
export async function countBehind(database: Database, filter: ParkedFilter): Promise<number> {
  const { sql, values } = matching(filter);
  const [row] = await select<{ behind: number }>(
    database,
    `select count(*)::int as behind from (
       select from messaging.parked_events p where ${sql} and not ${IS_HEAD} limit 10001) p`,
    values,
  );
  return row!.behind;
}

async function decodeGroupAgain(
  database: Database,
  filter: ParkedFilter,
  options: ActionOptions,
  effect: GroupEffect,
): Promise<GroupEffect> {
  for (let after = '0'; ;) {
    const { sql, values } = matching(filter, [after, BATCH]);
    const rows = await select<{ id: string }>(
      database,
      `select p.id from messaging.parked_events p where p.id > $1 and p.source is null and ${sql} order by p.id limit $2`,
      values,
    );
    for (const { id } of rows) {
      try {
        effect.affected += (await retryParked(database, id, options)).affected;
      } catch (error) {
        if (!(error instanceof OperationError)) throw error;
        effect.refused.push({ id, reason: error.message });
      }
    }
    if (rows.length < BATCH) return effect;
    after = rows.at(-1)!.id;
  }
}

const logged = new Set([...contracts.values()].map(({ owner }) => namesOf(owner).source));

async function decodeAgain(database: Database, event: ParkedDetails, options: ActionOptions) {
  const properties = (event.headers ?? {}) as Parameters<typeof decode>[0]['properties'];
  let envelopes: Envelope[];
  try {
    envelopes = decode({ content: event.raw!, properties }, (source) => logged.has(source)).map((read) => {
      if ('reason' in read) throw new UnreadableMessageError(read.reason);
      return read;
    });
  } catch (error) {
    if (!(error instanceof UnreadableMessageError)) throw error;
    throw new OperationError(
      'conflict',
      `Message ${event.id} still cannot be read: ${error.message}. Discard it if nobody needs it.`,
    );
  }
  return perform(database, 'parked.decode', { id: event.id, events: envelopes.length }, options, async (tx) => {
    const { rowCount } = await tx.query('delete from messaging.parked_events where id = $1', [event.id]);
    if (rowCount === 0) throw gone(event.id);
    const items = envelopes.map((envelope) => ({ envelope }));
    // Foreign events have no gate behind the workers, so copies are dropped here.
    const fresh = await firstSeen(tx, event.inbox, items);
    const unseen = items.filter(({ envelope }) => envelope.kind === 'logged' || fresh.has(envelope));
    await park(tx, event.inbox, unseen.map(readable));
    return { affected: 1, decoded: unseen.length };
  });
}

/** Due at once; in its stream, if it has one, when its predecessors are through. */
function readable(item: Item): Parking {
  return { item, failure: { state: item.envelope.kind === 'logged' ? 'waiting' : 'retry', error: '', counts: false } };
}

/** @throws {@link OperationError} that names the event in front */
export function requireHead({ id, head, stream, aggregate, subject }: ParkedDetails): void {
  if (head) return;
  const { headId, headSequence } = stream!;
  throw new OperationError(
    'conflict',
    `Event ${id} waits behind event ${headId} (${aggregate} ${subject}, sequence ${headSequence}): act on that one, and it follows by itself.`,
  );
}

/** The error of an event whose predecessor never came. */
export function missing({ id, source, aggregate, subject, sequence, stream }: ParkedDetails): OperationError {
  const next = (stream?.applied ?? 0) + 1;
  const range = next === sequence! - 1 ? `sequence ${next} has` : `sequences ${next} to ${sequence! - 1} have`;
  return new OperationError(
    'conflict',
    `Event ${id} is first in line, but ${range} not arrived. If the owner's log has them, replay brings them; ` +
      `if not: parked skip --missing ${source} ${aggregate} ${subject} ${next}`,
  );
}

/** What the audit keeps of an event. */
export const aboutOf = ({
  id,
  inbox,
  source,
  epoch,
  aggregate,
  subject,
  sequence,
  eventId,
  type,
  error,
}: ParkedDetails) => ({
  id,
  inbox,
  source,
  epoch,
  aggregate,
  subject,
  sequence,
  eventId,
  type,
  error,
});
