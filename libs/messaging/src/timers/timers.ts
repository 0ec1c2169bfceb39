// Events that are recorded at a later time, exactly once: a timer is a row, and the transaction that records its event
// deletes it. A crash leaves the row, and whoever works next fires it.
import { newId, type OpenTransaction } from '@app/database';
import { Inject, Injectable } from '@nestjs/common';
import { MESSAGING_OPTIONS, type MessagingOptions } from '../options.js';
import { EventRefusedError, originOf, recordable } from '../outbox/recordable.js';
import { TimerWorker } from './timer-worker.js';

/** A moment, or so long after now by the database's clock – which does not depend on the clock of this machine. */
export type Due = Date | { afterMs: number };

// A timer that is being fired is waited for, and is gone then: the new one is inserted.
const SET = `
insert into messaging.timers
  (id, key, due_at, type, aggregate, subject, correlation_id, causation_id, traceparent, data)
values ($1, $2, coalesce($3::timestamptz, now() + $4::float8 * interval '1 millisecond'), $5, $6, $7, $8, $9, $10, $11)
on conflict (key) do update set
  id = excluded.id, due_at = excluded.due_at, type = excluded.type, aggregate = excluded.aggregate,
  subject = excluded.subject, correlation_id = excluded.correlation_id, causation_id = excluded.causation_id,
  traceparent = excluded.traceparent, data = excluded.data, set_at = now(), error = null
returning extract(epoch from due_at - now())::float8 * 1000 as "inMs"`;

@Injectable()
export class Timers {
  constructor(
    @Inject(MESSAGING_OPTIONS) private readonly options: MessagingOptions,
    private readonly worker: TimerWorker,
  ) {}

  /**
   * Has `event` recorded at `at` – less than a second later if the service is up, else as soon as it is – by whichever
   * process has the role `workers`. It then travels like any other event of this service, with the correlation id of
   * whoever set the timer; this service may subscribe to it itself.
   *
   * @param at what is past fires at once
   * @param key names the timer. A timer with this key that has not fired yet is replaced.
   * @returns the timer's id
   * @throws EventRefusedError if the event could not be recorded, see `Outbox.add`, or `at` is no point in time
   */
  async set(tx: OpenTransaction, at: Due, event: object, key?: string): Promise<string> {
    const { type, aggregate, subject, data } = recordable(this.options.service, event);
    const [moment, afterMs] = at instanceof Date ? [at, null] : [null, at.afterMs];
    if (!Number.isFinite(moment?.getTime() ?? afterMs)) throw new EventRefusedError(`${type}: not a point in time`);
    const id = newId();
    const { correlationId, causationId, traceparent } = originOf(id);
    const values = [id, key, moment, afterMs, type, aggregate, subject, correlationId, causationId, traceparent, data];
    const { rows } = await tx.query<{ inMs: number }>(SET, values, 'timer-set');
    tx.afterCommit(() => this.worker.expect(rows[0]!.inMs));
    return id;
  }

  /**
   * Cancels a timer.
   *
   * @param keyOrId the key it was set with, or its id
   * @returns whether it was still there; false: it has fired, was cancelled or replaced, or never existed. If it is firing at
   * this moment, waits for the outcome, so that exactly one of both happens.
   */
  async cancel(tx: OpenTransaction, keyOrId: string): Promise<boolean> {
    const id = UUID.test(keyOrId) ? keyOrId : null;
    const sql = 'delete from messaging.timers where key = $1 or id = $2';
    const { rowCount } = await tx.query(sql, [keyOrId, id], 'timer-cancel');
    return rowCount !== 0;
  }
}

const UUID = /^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$/i;
