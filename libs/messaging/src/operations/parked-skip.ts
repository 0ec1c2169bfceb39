// Lets the gate pass over an event without applying it. Gate, books and parked events change in one transaction; the event
// stays in its owner's log.
import type { Database, Transaction } from '@app/database';
import { NEVER_ARRIVED } from '../inbox/gate.js';
import { countApplied } from '../books/count-applied.js';
import { OperationError, perform, select, type ActionOptions, type Effect } from './operation.js';
import {
  gone,
  IS_HEAD,
  matching,
  showParked,
  sourceOf,
  type ParkedDetails,
  type ParkedFilter,
} from './parked-query.js';
import { aboutOf, countBehind, missing, requireHead, type GroupEffect } from './parked-retry.js';
import { advance, lockGate, makeDue, STREAM, valuesOf, type StreamKey } from './stream-gate.js';

/** Events skipped by one call. */
const AT_MOST = 10_000;

/**
 * Skips one parked event: it is never applied, and its successors become due.
 *
 * @throws {@link OperationError} if it is not next in its stream, or has no stream
 */
export async function skipParked(database: Database, id: string, options: ActionOptions): Promise<Effect> {
  const event = await showParked(database, id);
  if (event.sequence === null) {
    throw new OperationError(
      'conflict',
      `Event ${id} belongs to no stream, nothing waits for it: parked discard ${id}`,
    );
  }
  requireHead(event);
  return perform(database, 'parked.skip', aboutOf(event), options, (tx) => skip(tx, event));
}

/** Skips the first event of every stream that matches, at most 10 000; what is behind them is tried, not skipped. */
export async function skipGroup(
  database: Database,
  filter: ParkedFilter,
  options: ActionOptions,
): Promise<GroupEffect> {
  const { sql, values } = matching(filter, [AT_MOST]);
  const heads = await select<{ id: string }>(
    database,
    `select p.id from messaging.parked_events p where p.sequence is not null and ${sql} and ${IS_HEAD}
     order by p.id limit $1`,
    values,
  );
  const effect: GroupEffect = { affected: 0, behind: await countBehind(database, filter), refused: [] };
  for (const { id } of heads) {
    try {
      effect.affected += (await skipParked(database, id, options)).affected;
    } catch (error) {
      if (!(error instanceof OperationError)) throw error;
      effect.refused.push({ id, reason: error.message });
    }
  }
  return effect;
}

/** A sequence that never came. */
export interface MissingSequence {
  source: string;
  aggregate: string;
  subject: string;
  sequence: number;
  /** Needed if the stream is known in several. */
  inbox?: string | undefined;
  epoch?: string | undefined;
  /** Its page, if the owner's books count it although its log has lost it; 0: no page misses it. Not given: that is looked up. */
  page?: number | undefined;
}

/**
 * Lets the gate pass over a sequence that never arrived.
 *
 * @throws {@link OperationError} unless it is the next one of its stream and later ones are parked behind it, or if it may
 *   still be pulled, or be counted in a page that would never balance
 */
export async function skipMissing(database: Database, which: MissingSequence, options: ActionOptions): Promise<Effect> {
  const { sequence, page } = which;
  const stream = await streamOf(database, which);
  const parameters = { ...stream, sequence, ...(page && { page }) };
  return perform(database, 'parked.skip-missing', parameters, options, async (tx) => {
    const applied = await lockGate(tx, stream);
    if (sequence !== applied + 1) {
      throw new OperationError('conflict', `The next one of that stream is ${applied + 1}, not ${sequence}.`);
    }
    const { rows } = await tx.query<{ id: string; sequence: string; page: string }>(
      `select id, sequence, page from messaging.parked_events where ${STREAM} order by sequence, id limit 1`,
      valuesOf(stream),
    );
    const [head] = rows;
    if (head && Number(head.sequence) <= sequence) {
      throw new OperationError(
        'conflict',
        `Sequence ${sequence} did arrive, as parked event ${head.id}: parked skip ${head.id}`,
      );
    }
    if (!head)
      throw new OperationError(
        'conflict',
        'Nothing waits for it: later events of the stream have not arrived, either.',
      );
    if (page === undefined) await requireCompared(tx, stream, Number(head.page));
    await advance(tx, stream, applied, sequence, NEVER_ARRIVED);
    await makeDue(tx, stream, sequence + 1);
    if (page) countApplied(tx, stream.inbox, [{ ...stream, page }]);
    return { affected: 1 };
  });
}

/** What is in front of an event of `page` was recorded in the same page or an earlier one. */
async function requireCompared(tx: Transaction, stream: StreamKey, page: number): Promise<void> {
  const { rows } = await tx.query<{ compared: string | null; gaps: string[] }>(
    `select (select balanced_page from messaging.inbox_books where ${LOG}) as compared,
            array(select page from messaging.inbox_gaps where ${LOG} and page <= $5 order by page desc limit 10) as gaps`,
    [stream.inbox, stream.source, stream.epoch, stream.aggregate, page],
  );
  const { compared, gaps } = rows[0]!;
  if (Number(compared) < page) {
    throw new OperationError(
      'conflict',
      `It may still come: page ${page}, which it is in at the latest, is not compared with the books of ${stream.source} yet. Wait for the next look, or say --page 0 if that service is gone for good.`,
    );
  }
  if (gaps.length > 0) {
    throw new OperationError(
      'conflict',
      `It may be one of those that page ${gaps.reverse().join(', ')} misses, which would never balance: see "events books", and say which with --page, or --page 0 if it is none of them.`,
    );
  }
}

const LOG = 'inbox = $1 and source = $2 and epoch = $3 and aggregate = $4';

/** Removes an event without a stream: a foreign or an unreadable one. The audit keeps the first 10 kB of its bytes. */
export async function discardParked(database: Database, id: string, options: ActionOptions): Promise<Effect> {
  const event = await showParked(database, id);
  if (event.sequence !== null) {
    throw new OperationError('conflict', `Event ${id} belongs to a stream that waits for it: parked skip ${id}`);
  }
  const bytes = event.raw ?? Buffer.from(JSON.stringify(event.event));
  const kept = { ...aboutOf(event), headers: event.headers, base64: bytes.subarray(0, 10_240).toString('base64') };
  return perform(database, 'parked.discard', kept, options, async (tx) => {
    const { rowCount } = await tx.query('delete from messaging.parked_events where id = $1', [id]);
    if (rowCount === 0) throw gone(id);
    return { affected: 1 };
  });
}

async function skip(tx: Transaction, event: ParkedDetails): Promise<Effect> {
  const { inbox, source, epoch, aggregate, subject } = event as ParkedDetails & StreamKey;
  const stream = { inbox, source, epoch, aggregate, subject };
  const sequence = event.sequence!;
  // The gate first, as everybody does: a worker that holds it may wait for the parked row.
  const applied = await lockGate(tx, stream);
  if (sequence > applied + 1) throw missing({ ...event, stream: { ...event.stream!, applied } });
  const { rowCount } = await tx.query('delete from messaging.parked_events where id = $1', [event.id]);
  if (rowCount === 0) throw gone(event.id);
  const isNext = sequence === applied + 1;
  if (isNext) await advance(tx, stream, applied, sequence, event.eventId!);
  await makeDue(tx, stream, Math.max(applied, sequence) + 1);
  if (isNext) countApplied(tx, inbox, [{ ...stream, page: event.page! }]);
  return { affected: 1 };
}

async function streamOf(database: Database, which: MissingSequence): Promise<StreamKey> {
  const { aggregate, subject, inbox = null, epoch = null } = which;
  const source = sourceOf(which.source);
  const found = await select<StreamKey>(
    database,
    `select distinct inbox, source, epoch, aggregate, subject from messaging.parked_events
     where source = $1 and aggregate = $2 and subject = $3 and sequence is not null
       and ($4::text is null or inbox = $4) and ($5::uuid is null or epoch = $5)`,
    [source, aggregate, subject, inbox, epoch],
  );
  if (found.length === 0) {
    throw new OperationError(
      'not-found',
      `Nothing of ${source} ${aggregate} ${subject} is parked, so nothing waits for a missing event.`,
    );
  }
  if (found.length > 1) {
    const choices = found.map((stream) => `--inbox ${stream.inbox} --epoch ${stream.epoch}`).join('\n  ');
    throw new OperationError('invalid', `That stream waits in several places; say which:\n  ${choices}`);
  }
  return found[0]!;
}
