// Publishes what is in the outbox, in order, and removes what the broker has confirmed.
// A crash anywhere leaves the row: it is published again, and the inbox drops the duplicate.
import { closePool, connectionSettings, openPool } from '@app/database';
import { Inject, Injectable, Logger } from '@nestjs/common';
import type { Pool } from 'pg';
import { failpoint } from '../failpoints.js';
import { MESSAGING_OPTIONS, namesOf, type MessagingOptions } from '../options.js';
import { atMost, backOff, pause } from '../rabbitmq/backoff.js';
import { messageOf } from '../rabbitmq/explain.js';
import { JustRecorded, type Recorded } from './just-recorded.js';
import { OutboxReader, type OutgoingEvent } from './outbox-reader.js';
import { RelayLock } from './relay-lock.js';
import { Sender } from './sender.js';
import { wireBatches } from './wire-batches.js';
import { Window } from './window.js';

const READ_EVENTS = 1_000;
const READ_BYTES = 8 * 1024 * 1024;
/** Other processes record events too; ours wake us directly. */
const POLL_MS = 100;
const STANDBY_EVERY_MS = 1_000;
/**
 * A look costs the database the same for one event as for a hundred. So while several come during a look, the relay rests before the
 * next one, or the looks would take from the commands what they need: for each but the first as long as the look took, which is
 * longer on a busy machine. An event that comes alone goes out at once.
 */
const REST_AT_MOST_MS = 8;
/**
 * So many events in a look are a flow. Its looks are rarer, so that more events share what a look, a message and a batch of the inbox
 * cost: 5–20 % less processor time per command at 2 000 commands/s.
 */
const FLOW_EVENTS = 8;
const REST_IN_FLOW_MS = 20;
/** Commands that are committed together come in bursts: between two of them a look finds little, and it is a flow all the same. */
const FLOW_LASTS_MS = 200;
/** So many events are a backlog: read on at once. */
const BACKLOG_EVENTS = 200;
/** A relay that has lost the broker for longer lets another process try, whose way to the broker may be open. */
const PATIENCE_MS = 5_000;
/** What is on the way at the end has this long to be confirmed. */
const FLUSH_MS = 2_000;

@Injectable()
export class Relay {
  readonly #logger = new Logger('Relay');
  readonly #stopping = new AbortController();
  readonly #pool: Pool;
  readonly #lock: RelayLock;
  readonly #window: Window;
  readonly #reader: OutboxReader;
  readonly #sender: Sender;
  readonly #justRecorded = new JustRecorded();
  /** What the last look at the outbox took, in ms. */
  #lookMs = 0;
  /** When so many events came last that they share a look. */
  #flowAt = -Infinity;
  #running: Promise<void> | undefined;
  #stopped: Promise<void> | undefined;
  #active = false;
  #connectedAt = 0;
  #nextLookAt = 0;
  #failures = 0;
  #trouble: string | undefined;
  #woken = false;
  #wake: (() => void) | undefined;

  constructor(@Inject(MESSAGING_OPTIONS) { databaseUrl: url, rabbitmqUrls, service }: MessagingOptions) {
    const settings = connectionSettings({ url, applicationName: `${service} relay` });
    // A crash of Postgres may forget the last deletes: their events are published again and dropped as duplicates. So the
    // relay does not wait for the disk, which it would share with the commands.
    // Its statements are prepared, and none of them is for a sequential scan: a plan that was made while the tables were small
    // would stay.
    this.#pool = openPool({ ...settings, max: 2, options: '-c synchronous_commit=off -c enable_seqscan=off' });
    this.#lock = new RelayLock(url, `${service} relay lock`);
    this.#window = new Window(this.#pool, this.#stopping.signal, () => this.#readAgain());
    this.#reader = new OutboxReader(this.#pool, namesOf(service).source);
    this.#sender = new Sender(rabbitmqUrls, service, this.#pool, this.#window);
    this.#sender.link.on('state', () => this.#wakeUp());
  }

  /** Whether this process is the one that publishes, how its connection to the broker is, and what it has done so far. */
  get status() {
    return {
      active: this.#active,
      paused: this.#reader.paused,
      trouble: this.#trouble,
      inFlight: this.#window.size,
      broker: this.#sender.link.status,
      ...this.#sender.counts,
    };
  }

  /** An operator has done something: the next look is now, and everywhere. */
  lookEverywhere(): void {
    this.#reader.lookEverywhere();
    this.#wakeUp();
  }

  /**
   * Whether to say what was recorded. In a flow it is read: what tells makes the commands dearer than a look that they share. While the
   * broker is away, nothing is published at all.
   */
  get takesRecorded(): boolean {
    return this.#active && this.#sender.isReady && performance.now() - this.#flowAt > FLOW_LASTS_MS;
  }

  /** An event is in the outbox, committed: this one, or some other. */
  recorded(event?: Recorded): void {
    if (!event || !this.takesRecorded) this.#reader.readNext();
    else if (!this.#justRecorded.add(event)) this.#flowAt = performance.now(); // more than can be published, or nothing can
    this.#wakeUp();
  }

  /** There is something new to look at. */
  #wakeUp(): void {
    this.#woken = true;
    this.#wake?.();
  }

  start(): void {
    this.#sender.link.start();
    this.#running ??= this.#run();
  }

  /** Finishes what is on the way, as far as the broker answers in time; the rest stays in the outbox. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop(): Promise<void> {
    this.#stopping.abort();
    this.#wakeUp();
    await atMost(FLUSH_MS + 500, this.#running);
    await this.#sender.link.stop(); // whoever waits for the broker hears of it
    await atMost(FLUSH_MS, this.#window.settled());
    await closePool(this.#pool); // and whoever waits for the database
    await this.#running;
    await this.#window.settled();
  }

  async #run(): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      try {
        if (this.#sender.isReady && (await this.#lock.tryAcquire())) await this.#lead();
        else await this.#standBy();
      } catch (error) {
        const reason = messageOf(error);
        if (this.#trouble !== reason) this.#logger.warn(`paused: ${reason}`);
        this.#trouble = reason;
        await backOff(this.#failures++, { ceiling: 2_000, signal: this.#stopping.signal });
      }
    }
    await this.#lock.release();
  }

  async #standBy(): Promise<void> {
    if (this.#sender.isReady) return pause(STANDBY_EVERY_MS, this.#stopping.signal);
    await this.#lock.release();
    await this.#rest(STANDBY_EVERY_MS);
  }

  async #lead(): Promise<void> {
    if (this.#trouble === undefined) this.#logger.log('active');
    this.#active = true;
    this.#connectedAt = performance.now();
    this.#reader.lookEverywhere();
    this.#justRecorded.clear();
    this.#justRecorded.forgetPublished();
    try {
      while (this.#hasPatience() && (await this.#lock.stillHeld())) await this.#round();
      await this.#flush();
    } finally {
      this.#active = false;
      await this.#lock.release();
    }
  }

  async #round(): Promise<void> {
    const { events, bytes } = this.#window.room;
    if (!this.#sender.isReady || events === 0 || bytes === 0) return this.#rest(POLL_MS);
    const early = this.#nextLookAt - performance.now();
    if (early > 0) await pause(early);
    this.#woken = false;
    const next = (await this.#takeJustRecorded(events)) ?? (await this.#read(events, bytes));
    const { length } = next;
    const rest = length < FLOW_EVENTS ? Math.min((length - 1) * this.#lookMs, REST_AT_MOST_MS) : REST_IN_FLOW_MS;
    const isBacklog = length >= BACKLOG_EVENTS;
    if (length >= FLOW_EVENTS) this.#flowAt = performance.now();
    this.#nextLookAt = isBacklog ? 0 : performance.now() + rest;
    if (length === 0) return this.#rest(POLL_MS);
    await failpoint('relay.afterRead');
    await this.#publish(next);
    if (!isBacklog) await this.#rest(REST_IN_FLOW_MS); // whoever records an event in this process wakes us
  }

  /** What this process has just committed; `undefined` if the outbox has to be read. */
  async #takeJustRecorded(atMost: number): Promise<OutgoingEvent[] | undefined> {
    if (this.#justRecorded.size === 0 || !this.#reader.isFresh(POLL_MS)) return undefined;
    await new Promise(setImmediate); // what was committed together is published together
    if (this.#justRecorded.size > atMost) return undefined;
    const events = this.#justRecorded.take();
    // A read may have been faster than the answer to the COMMIT.
    return events && this.#reader.outgoing(events.filter(({ position }) => !this.#window.has(position)));
  }

  async #read(events: number, bytes: number): Promise<OutgoingEvent[]> {
    const limits = { events: Math.min(READ_EVENTS, events), bytes: Math.min(READ_BYTES, bytes) };
    const recorded = this.#justRecorded.clear();
    const started = performance.now();
    const rows = await this.#reader.read({ except: this.#window.positions, ...limits });
    this.#lookMs = performance.now() - started;
    this.#failures = 0;
    this.#trouble = undefined;
    if (recorded.length > 0) {
      const positions = new Set(rows.map(({ position }) => position));
      this.#justRecorded.published(recorded.filter(({ position }) => positions.has(position)));
    }
    return rows;
  }

  /** Something that was on its way is not any more, or there is room for more. */
  #readAgain(): void {
    this.#reader.readNext();
    this.#justRecorded.forgetPublished();
    this.#wakeUp();
  }

  async #publish(events: OutgoingEvent[]): Promise<void> {
    if (!this.#sender.isCarefulAt(events[0]!)) {
      for (const message of wireBatches(events, this.#sender.maxMessageBytes)) void this.#sender.send(message);
      return;
    }
    this.#readAgain(); // some may not be sent now
    for (const event of events) {
      if (!this.#sender.isCarefulAt(event) || !this.#hasPatience() || !(await this.#lock.stillHeld())) return; // read again
      if (!(await this.#sender.sendAlone(event))) return this.#reader.lookEverywhere();
    }
  }

  #hasPatience(): boolean {
    if (this.#sender.link.status.state !== 'connecting') this.#connectedAt = performance.now();
    return !this.#stopping.signal.aborted && performance.now() - this.#connectedAt < PATIENCE_MS;
  }

  /** Waits for the answers to what was sent. */
  async #flush(): Promise<void> {
    for (
      const until = performance.now() + FLUSH_MS;
      this.#sender.isReady && this.#sender.unanswered > 0 && performance.now() < until;
    ) {
      await pause(5);
    }
    await this.#window.settled();
  }

  /** Until woken, at most `ms`. */
  async #rest(ms: number): Promise<void> {
    if (!this.#woken) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, ms);
        const wake = () => {
          clearTimeout(timer);
          resolve();
        };
        this.#wake = wake;
      });
    }
    this.#woken = false;
  }
}
