// The gate of one stream, for operators: unlike the inbox they wait for whoever is at it, and nothing is applied.
import type { Transaction } from '@app/database';
import { OperationError } from './operation.js';

/** A stream as an inbox knows it. */
export interface StreamKey {
  inbox: string;
  source: string;
  epoch: string;
  aggregate: string;
  subject: string;
}

/** With the values of {@link valuesOf}. */
export const STREAM = 'inbox = $1 and source = $2 and epoch = $3 and aggregate = $4 and subject = $5';
export const valuesOf = ({ inbox, source, epoch, aggregate, subject }: StreamKey) => [
  inbox,
  source,
  epoch,
  aggregate,
  subject,
];

/** The last sequence that went through; waits for a worker that is at it. */
export async function lockGate(tx: Transaction, stream: StreamKey): Promise<number> {
  const { rows } = await tx.query<{ last_sequence: string }>(
    `select last_sequence from messaging.inbox_streams where ${STREAM} for update`,
    valuesOf(stream),
  );
  return Number(rows[0]?.last_sequence ?? 0);
}

/** @throws {@link OperationError} if somebody else has let the stream go on meanwhile */
export async function advance(tx: Transaction, stream: StreamKey, was: number, sequence: number, eventId: string) {
  const { rowCount } = await tx.query(
    was === 0
      ? `insert into messaging.inbox_streams (inbox, source, epoch, aggregate, subject, last_sequence, last_event_id)
         values ($1, $2, $3, $4, $5, $6, $7) on conflict do nothing`
      : `update messaging.inbox_streams set last_sequence = $6, last_event_id = $7 where ${STREAM}`,
    [...valuesOf(stream), sequence, eventId],
  );
  if (rowCount === 0) throw new OperationError('conflict', 'The stream has moved on meanwhile; look again.');
}

/** The event with this sequence, if it only waited to be next, is. */
export async function makeDue(tx: Transaction, stream: StreamKey, sequence: number): Promise<void> {
  await tx.query(
    `update messaging.parked_events set due_at = now()
     where ${STREAM} and sequence = $6 and state in ('waiting', 'retry', 'slow') and claimed_at is null`,
    [...valuesOf(stream), sequence],
  );
}
