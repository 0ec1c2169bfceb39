// Records an event in the same transaction as the change it describes: either both are there, or neither.
// A crash before COMMIT leaves nothing; after it, the relay publishes, now or after the restart.
import { sabotaged } from '@app/context';
import { newId, openPool, type OpenTransaction } from '@app/database';
import { Inject, Injectable } from '@nestjs/common';
import type { Pool } from 'pg';
import { LOG_TIME } from '../cloud-event.js';
import { MESSAGING_OPTIONS, type MessagingOptions } from '../options.js';
import type { Recorded } from './just-recorded.js';
import { originOf, recordable } from './recordable.js';
import { Relay } from './relay.js';

// One statement. The row lock on the stream comes first: position order is sequence order within a stream.
// It travels with COMMIT, so its row lock is held for the commit only.
const RECORD = `
with log as (select epoch, (select last_value from messaging.page) as page from messaging.log),
stream as (
  insert into messaging.streams as t (epoch, aggregate, subject, last_sequence)
  select epoch, $3, $4, 1 from log
  on conflict (epoch, aggregate, subject) do update set last_sequence = t.last_sequence + 1
  returning last_sequence),
event as (
  insert into messaging.events
    (id, type, epoch, aggregate, subject, sequence, page, correlation_id, causation_id, traceparent, data)
  select $1, $2, log.epoch, $3, $4, stream.last_sequence, log.page, $5, $6, $7, $8 from log, stream
  returning position, epoch, sequence, page, recorded_at)`;
const INSERT = 'insert into messaging.outbox (position, bytes) select position, $9 from event';
const ADD = `${RECORD} ${INSERT}`;
const ADD_AND_TELL = `${RECORD}, outbox as (${INSERT}) select position, epoch, sequence, page, ${LOG_TIME} from event`;

/** What the log gives an event. */
type Given = Pick<Recorded, 'position' | 'epoch' | 'sequence' | 'page' | 'time'>;

@Injectable()
export class Outbox {
  constructor(
    @Inject(MESSAGING_OPTIONS) private readonly options: MessagingOptions,
    private readonly relay: Relay,
  ) {}

  /**
   * Records `event` in `tx`. It is published after `tx` has committed, in the order of its stream.
   *
   * A failure of the database shows at the end of the transaction, which then fails.
   *
   * Take the event's data from rows that this transaction wrote or locked, never from an earlier read.
   *
   * @returns the event's id
   * @throws EventRefusedError if it belongs to another service, has no subject or is larger than 256 KiB
   */
  async add(tx: OpenTransaction, event: object): Promise<string> {
    const { type, aggregate, subject, data, bytes } = recordable(this.options.service, event);
    const id = newId();
    const { correlationId, causationId, traceparent } = originOf(id);
    const values = [id, type, aggregate, subject, correlationId, causationId, traceparent, data, bytes];
    let given: Given | undefined;
    if (sabotaged('outbox-outside-transaction')) await elsewhere(this.options).query(ADD, values);
    else if (this.relay.takesRecorded)
      tx.queryLater<Given>(ADD_AND_TELL, values, 'outbox-add-and-tell', ({ rows }) => (given = rows[0]));
    else tx.queryLater(ADD, values, 'outbox-add');
    tx.afterCommit(() => {
      if (!given) return this.relay.recorded();
      const origin = { correlation_id: correlationId, causation_id: causationId, traceparent };
      this.relay.recorded({ ...given, ...origin, id, type, aggregate, subject, data, bytes });
    });
    return id;
  }
}

// For the fault suite: another connection, which commits by itself.
let pool: Pool | undefined;
const elsewhere = ({ databaseUrl }: MessagingOptions) => {
  pool ??= openPool({ connectionString: databaseUrl, max: 4 });
  return pool;
};
