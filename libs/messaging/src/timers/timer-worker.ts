// Records the events of timers that are due, by the database's clock, up to 100 in one transaction. Any number of
// processes may do this at once. A crash rolls back; a timer whose event cannot be recorded is set aside.
import { runInContext } from '@app/context';
import { findContract, InvalidEventError } from '@app/contracts';
import {
  closePool,
  connectionSettings,
  isContention,
  isDatabaseUnavailable,
  openPool,
  runTransaction,
  Transaction,
  type OpenTransaction,
} from '@app/database';
import { Inject, Injectable, Logger } from '@nestjs/common';
import type { Pool } from 'pg';
import { failpoint } from '../failpoints.js';
import { MESSAGING_OPTIONS, type MessagingOptions } from '../options.js';
import { Outbox } from '../outbox/outbox.js';
import { EventRefusedError } from '../outbox/recordable.js';
import { atMost, backOff, pause } from '../rabbitmq/backoff.js';
import { messageOf } from '../rabbitmq/explain.js';
import { claim, claimOne, remove, type TimerRow } from './timer-rows.js';

const BATCH = 100;
/** Timers that other processes have set are found within this time. */
const POLL_MS = 1_000;
/** Until the next look at timers whose streams are busy; who is as late as this gets in line for its stream. */
const BUSY_MS = 50;
const TOO_LATE_MS = 2_000;
/** Looked around at most, in one round. */
const MAX_BUSY = 1_000;
/** What is being fired when the process is to end has this long. */
const FINISH_MS = 2_000;
/** Another version of the service may be able to record what this one cannot. */
const TRY_FAILED_EVERY_MS = 300_000;

@Injectable()
export class TimerWorker {
  readonly #logger = new Logger('Timers');
  readonly #stopping = new AbortController();
  readonly #pool: Pool;
  readonly #counts = { fired: 0, setAside: 0 };
  #running: Promise<void> | undefined;
  #stopped: Promise<void> | undefined;
  #resting = new AbortController();
  /** When there may be something to do, by `performance.now()`. */
  #nextAt = 0;
  #triedFailedAt = -Infinity;

  constructor(
    @Inject(MESSAGING_OPTIONS) { databaseUrl: url, service }: MessagingOptions,
    private readonly outbox: Outbox,
  ) {
    const settings = connectionSettings({ url, applicationName: `${service} timers` });
    this.#pool = openPool({ ...settings, max: 1, pipeline: true });
  }

  /** What this process has done so far. */
  get counts(): Readonly<Record<'fired' | 'setAside', number>> {
    return this.#counts;
  }

  start(): void {
    this.#running ??= this.#run();
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop(): Promise<void> {
    this.#stopping.abort();
    this.#resting.abort();
    await atMost(FINISH_MS, this.#running);
    await closePool(this.#pool);
    await this.#running;
  }

  /** This process has set a timer that is due in `ms`. */
  expect(ms: number): void {
    const at = performance.now() + ms;
    if (at >= this.#nextAt) return;
    this.#nextAt = at;
    this.#resting.abort();
  }

  async #run(): Promise<void> {
    let trouble: string | undefined;
    for (let failures = 0; !this.#stopping.signal.aborted;) {
      try {
        await this.#tryFailedAgain();
        this.#nextAt = Infinity;
        const busy = await this.#fireAllThatAreDue();
        failures = 0;
        trouble = undefined;
        await this.#rest(busy ? BUSY_MS : POLL_MS);
      } catch (error) {
        const message = messageOf(error);
        if (trouble !== message) this.#logger.warn(`paused: ${message}`);
        trouble = message;
        await backOff(failures++, { ceiling: 2_000, signal: this.#stopping.signal });
      }
    }
  }

  /** Until the next timer is due or a nearer one is set, at most `ms`. */
  async #rest(ms: number): Promise<void> {
    const { rows } = await this.#pool.query<{ in_ms: number }>(
      `select extract(epoch from due_at - now())::float8 * 1000 as in_ms from messaging.timers
       where error is null order by due_at limit 1`,
    );
    const inMs = rows[0]?.in_ms ?? ms;
    // One that is due and was not claimed is being cancelled or replaced.
    const untilNext = ms === BUSY_MS || inMs < 0 ? BUSY_MS : Math.min(ms, inMs);
    this.#nextAt = Math.min(this.#nextAt, performance.now() + untilNext);
    this.#resting = new AbortController();
    if (!this.#stopping.signal.aborted) await pause(this.#nextAt - performance.now(), this.#resting.signal);
  }

  /** Whether there are timers left that have to wait for their streams. */
  async #fireAllThatAreDue(): Promise<boolean> {
    const busy: TimerRow[] = [];
    for (let more = true; more && busy.length < MAX_BUSY && !this.#stopping.signal.aborted;) {
      let claimed: TimerRow[] = [];
      try {
        await this.#transaction(async (tx) => {
          const passed = busy.map(({ id }) => id);
          const { free, busy: waiting } = await claim(tx, passed, BATCH);
          more = free.length + waiting.length === BATCH;
          busy.push(...waiting);
          claimed = free;
          return this.#fire(tx, free);
        });
      } catch (error) {
        if (isContention(error) || isDatabaseUnavailable(error) || claimed.length === 0) throw error;
        for (const timer of claimed) await this.#fireAlone(timer); // one of them is the culprit
      }
    }
    const inVain = new Set<string>();
    for (const timer of busy.filter(({ overdue_ms: late }) => late > TOO_LATE_MS)) {
      const stream = `${timer.aggregate} ${timer.subject}`;
      if (!inVain.has(stream) && !(await this.#fireAlone(timer))) inVain.add(stream);
    }
    return busy.length > 0;
  }

  /** Waits for the stream like any command. @returns whether it got it */
  async #fireAlone(timer: TimerRow): Promise<boolean> {
    try {
      await this.#transaction(async (tx) => this.#fire(tx, await claimOne(tx, timer)));
    } catch (error) {
      if (isDatabaseUnavailable(error)) throw error;
      if (isContention(error)) return false;
      await this.#transaction((tx) => this.#setTimerAside(tx, timer, error as Error));
    }
    return true;
  }

  async #fire(tx: OpenTransaction, timers: readonly TimerRow[]): Promise<void> {
    const outcomes = await Promise.allSettled(timers.map((timer) => this.#record(tx, timer))); // in this order
    for (const [n, outcome] of outcomes.entries()) {
      if (outcome.status === 'fulfilled') continue;
      const error = outcome.reason as Error;
      if (!(error instanceof EventRefusedError || error instanceof InvalidEventError)) throw error;
      await this.#setTimerAside(tx, timers[n]!, error);
    }
    const fired = timers.filter((_, n) => outcomes[n]!.status === 'fulfilled');
    if (fired.length === 0) return;
    await remove(tx, fired);
    tx.afterCommit(() => (this.#counts.fired += fired.length));
    await failpoint('timers.beforeCommit');
  }

  async #record(tx: OpenTransaction, timer: TimerRow): Promise<void> {
    const contract = findContract(timer.type);
    if (!contract) throw new EventRefusedError(`this version of the service does not know ${timer.type}`);
    const event = new contract(timer.data as never);
    const context = {
      correlationId: timer.correlation_id,
      ...(timer.causation_id && { causationId: timer.causation_id }),
      ...(timer.traceparent && { traceparent: timer.traceparent }),
    };
    await runInContext(context, () => this.outbox.add(tx, event));
  }

  async #setTimerAside(tx: OpenTransaction, { id, type, subject }: TimerRow, { message }: Error): Promise<void> {
    await tx.query('update messaging.timers set error = $2 where id = $1', [id, message]);
    tx.afterCommit(() => {
      this.#counts.setAside++;
      this.#logger.error(`the timer ${id} (${type} of "${subject}") is set aside: ${message}`);
    });
  }

  async #tryFailedAgain(): Promise<void> {
    if (performance.now() - this.#triedFailedAt < TRY_FAILED_EVERY_MS) return;
    await this.#pool.query('update messaging.timers set error = null where error is not null');
    this.#triedFailedAt = performance.now();
  }

  async #transaction(work: (tx: Transaction) => Promise<void>): Promise<void> {
    await runTransaction(new Transaction(this.#pool), work);
  }
}
