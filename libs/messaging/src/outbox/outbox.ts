// Records an event in the same transaction as the change it describes: either both are there, or neither.
// A crash before COMMIT leaves nothing; after it, the relay publishes, now or after the restart.
import { currentContext } from '@app/context';
import { contractOf } from '@app/contracts';
import type { OpenTransaction } from '@app/database';
import { Inject, Injectable } from '@nestjs/common';
import { v7 as uuidv7 } from 'uuid';
import { MAX_EVENT_BYTES } from '../cloud-event.js';
import { MESSAGING_OPTIONS, type MessagingOptions } from '../options.js';
import { Relay } from './relay.js';

/** The envelope around `data` on the wire, generously. */
const ENVELOPE_BYTES = 2048;

/** The event cannot be recorded; nothing of its transaction is kept unless the caller catches it. */
export class EventRefusedError extends Error {
  override readonly name = 'EventRefusedError';
}

// One statement. The row lock on the stream comes first: position order is sequence order within a stream.
// 35 % of a bare insert at 64 concurrent commands; the cost is CPU and index entries, not round trips (pipelining: +0).
const ADD = `
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
  returning position)
insert into messaging.outbox (position, bytes) select position, $9 from event`;

@Injectable()
export class Outbox {
  constructor(
    @Inject(MESSAGING_OPTIONS) private readonly options: MessagingOptions,
    private readonly relay: Relay,
  ) {}

  /**
   * Records `event` in `tx`. It is published after `tx` has committed, in the order of its stream.
   *
   * Take the event's data from rows that this transaction wrote or locked, never from an earlier read.
   *
   * @returns the event's id
   * @throws {@link EventRefusedError} if it belongs to another service, has no subject or is larger than 256 KiB
   */
  async add(tx: OpenTransaction, event: object): Promise<string> {
    const { type, owner, aggregate, subject: subjectField } = contractOf(event);
    if (owner !== this.options.service) {
      throw new EventRefusedError(`${type} belongs to "${owner}"; "${this.options.service}" may not publish it`);
    }
    const subject = (event as Record<string, unknown>)[subjectField];
    if (typeof subject !== 'string' || subject.length === 0 || subject.length > 200) {
      throw new EventRefusedError(`${type}: "${subjectField}" must be a text of 1–200 characters, it names the stream`);
    }
    const data = JSON.stringify(event);
    const bytes = Buffer.byteLength(data) + ENVELOPE_BYTES;
    if (bytes > MAX_EVENT_BYTES) {
      throw new EventRefusedError(
        `${type} has ${bytes} bytes, more than ${MAX_EVENT_BYTES}: put the bulk elsewhere and refer to it`,
      );
    }
    const id = uuidv7();
    const context = currentContext();
    const values = [
      id,
      type,
      aggregate,
      subject,
      context?.correlationId || id,
      context?.causationId ?? null,
      context?.traceparent ?? null,
      data,
      bytes,
    ];
    await tx.query(ADD, values, 'outbox-add');
    tx.afterCommit(() => this.relay.wake());
    return id;
  }
}
