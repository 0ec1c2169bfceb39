// Applies a batch of events in ONE transaction: gate, reactions, parked events and books commit together, or not at all.
// A crash anywhere rolls back; the events come again and the gate knows what it had.
import { sabotaged } from '@app/context';
import { setTimeout as sleep } from 'node:timers/promises';
import { isContention, isDatabaseUnavailable, runTransaction, Transaction } from '@app/database';
import { Logger } from '@nestjs/common';
import type { MessageHandler } from '@nestjs/microservices';
import type { Pool } from 'pg';
import type { LoggedEvent } from '../cloud-event.js';
import { countApplied } from '../books/count-applied.js';
import { countBatch } from '../operations/metrics.js';
import type { InboxName } from './awaited-event-bus.js';
import { NotHandedOnError } from './event-batch.js';
import { blame, ReactionsFailedError } from './blame.js';
import { withoutEffect } from './foreign-events.js';
import { failpoint } from '../failpoints.js';
import { ForkError, Gate, StaleGateError, UnverifiedGuessError, type GateTrust } from './gate.js';
import { describe, type Failure, type Item } from './item.js';
import { Lanes } from './lanes.js';
import { Latest } from './latest.js';
import { hasParked, park, parkedStreams, unpark } from './parked-events.js';
import { gated, isLive, planBatch, type Planner } from './plan.js';
import { Failed, ReactionRunner, ShuttingDownError, SlowReactionError, type Planned } from './reaction-runner.js';
import { runsOf, streamOf } from './runs.js';

/** What is known of the events of a batch from earlier attempts. */
interface Known {
  /** They fail: they are parked without another attempt. */
  failures: Map<Item, Failure>;
  /** No longer handled together with others. */
  suspects: Set<Item>;
}

export interface ApplierOptions extends Planner {
  /** Its name in the tables. */
  inbox: string;
  name: InboxName;
  /** Whether replay is about to bring what lies before the newest events of this log, so that they need not be parked. */
  isCatchingUp: (source: string, epoch: string, aggregate: string) => boolean;
  /** Aborted when the process cannot wait any longer. */
  deadline: AbortSignal;
  /** Called when the database has got the most of a batch to do: there is time for other things. */
  meanwhile?: () => void;
}

/** Attempts at a batch that take failing events out of it; then it is done one by one. */
const ROUNDS = 3;
const CONTENTION_ATTEMPTS = 3;
/**
 * Reactions that run at the same time at most: Postgres does them one after the other anyhow, and what waits for it in memory has
 * to be collected (half of the inbox's time with 500 at a time).
 */
const OVERLAPPING = 128;
/** After streams were taken for new that were not (another process had them, or replay brings them), so many batches look first. */
const LOOK_FIRST = 100;
/** Of the streams that began here so many are remembered, and not taken for new again. */
const REMEMBERED_STREAMS = 10_000;
/**
 * Of so few events the first ones of streams are handed to their reactions while Postgres checks that the streams are new: a round
 * trip less for an event that comes alone. If they are not, what the reactions did is rolled back. More events wait for the answer,
 * which would not make them faster.
 */
const FEW_EVENTS = 50;
/**
 * A batch holds the locks of many reactions, in an order that nobody else keeps: commands that lock rows in the order of their
 * keys run into deadlocks with it, a second each. Alone, a reaction locks in its own order. So after a batch was in somebody's
 * way, it and so many events after it are done one by one. (Measured: 1 event/s with 1 277 deadlocks, batches tried nine times.)
 */
const ALONE_AFTER_CONTENTION = 200;

export class Applier {
  readonly #logger = new Logger('Inbox');
  readonly #runner: ReactionRunner;
  /** Their events are not handed on together. */
  readonly #curious = new WeakSet<MessageHandler>();
  #lookFirst = 0;
  /** Streams that began here: their first event may come again, from a relay that crashed before it noted the confirm. */
  readonly #opened = new Latest(REMEMBERED_STREAMS);
  /** So many events are done one by one. */
  #alone = 0;

  constructor(
    private readonly pool: Pool,
    private readonly options: ApplierOptions,
  ) {
    this.#runner = new ReactionRunner(options.name, options.deadline);
  }

  /**
   * Resolves when every item has been applied, dropped as a duplicate or parked, durably.
   *
   * @param limitMs how long one reaction may take
   * @param failures events that are known to fail: they are parked without another attempt
   * @throws Error if the database is unavailable or cannot even park; then nothing is lost, call again later
   */
  async apply(items: readonly Item[], limitMs: number, failures = new Map<Item, Failure>()): Promise<void> {
    const known: Known = { failures, suspects: new Set() };
    for (let round = 1; round <= ROUNDS && this.#alone === 0; round++) {
      const suspects = known.suspects.size;
      if (await this.#try(items, known, limitMs)) return;
      if (items.length === 1) break;
      if (known.suspects.size > suspects) round--; // that one has found nobody yet; happens once per item at most
    }
    for (const item of items) await this.#applyAlone(item, known, limitMs);
    this.#alone = Math.max(0, this.#alone - items.length);
  }

  async #applyAlone(item: Item, known: Known, limitMs: number): Promise<void> {
    if (await this.#try([item], known, limitMs)) return;
    // The failure is known by now, and this attempt only parks the event.
    if (await this.#try([item], known, limitMs)) return;
    const { error } = known.failures.get(item) ?? {};
    throw new Error(`The event ${item.envelope.id} can neither be applied nor parked: ${error}`);
  }

  /** One round: true if it was committed; false if what is `known` now (or a smaller batch) must be tried. */
  async #try(items: readonly Item[], known: Known, limitMs: number): Promise<boolean> {
    const { failures, suspects } = known;
    let contention = 0;
    for (let trust = this.#trust(items); ;) {
      try {
        await this.#attempt(items, known, trust, limitMs);
        return true;
      } catch (error) {
        if (error instanceof StaleGateError) {
          if (trust !== 'firsts') await sleep(5);
          else if (!(error instanceof UnverifiedGuessError)) this.#lookFirst = LOOK_FIRST;
          trust = 'nobody';
        } else if (error instanceof ForkError) {
          await this.options.holds.hold(error.source, error.epoch, error.message);
        } else if (error instanceof ReactionsFailedError) {
          if (sabotaged('requeue-as-retry')) throw error;
          for (const [item, cause] of error.failures) failures.set(item, this.#judge(item, cause));
          for (const item of error.suspects) suspects.add(item);
          return false;
        } else if (isDatabaseUnavailable(error) || error instanceof ShuttingDownError) {
          throw error;
        } else if (isContention(error) && items.length > 1) {
          this.#alone = ALONE_AFTER_CONTENTION;
          return false;
        } else if (isContention(error) && ++contention < CONTENTION_ATTEMPTS) {
          await sleep(Math.random() * 50 * contention);
        } else {
          // Nobody in particular failed; alone, an event has to answer for it.
          if (items.length === 1 && !failures.has(items[0]!)) failures.set(items[0]!, this.#judge(items[0]!, error));
          return false;
        }
      }
    }
  }

  async #attempt(items: readonly Item[], { failures, suspects }: Known, trust: GateTrust, limitMs: number) {
    const { inbox } = this.options;
    const tx = new Transaction(this.pool, true);
    await runTransaction(tx, async () => {
      const logged = items.flatMap((item) => gated(item) ?? []);
      const isParked = hasParked(tx, inbox);
      isParked.catch(() => {}); // waited for below
      const gate = await Gate.open(tx, sabotaged('inbox-key-without-inbox') ? 'any' : inbox, logged, trust);
      const [fresh, coming] = await Promise.all([withoutEffect(tx, inbox, items), this.#coming(tx, items, isParked)]);
      const plan = planBatch(items, gate, fresh, coming, failures, this.options);
      const runs = runsOf(plan.react, ({ item, route }) => this.#canJoin(route) && !suspects.has(item));
      await this.#react(tx, gate, runs, limitMs, items.length < FEW_EVENTS);
      tx.afterCommit(() => countBatch(plan));
      tx.afterCommit(() => this.#opened.add(gate.opened));
      const parked = await isParked;
      await Promise.all([
        park(tx, inbox, plan.park),
        (parked || plan.park.length > 0) && unpark(tx, inbox, gate.passed, plan.done),
      ]);
      countApplied(tx, inbox, plan.advanced);
      await failpoint('inbox.beforeCommit');
    });
  }

  /** The streams of live events that replay is about to bring, and of which nothing is parked. */
  async #coming(tx: Transaction, items: readonly Item[], isParked: Promise<boolean>): Promise<Set<string>> {
    const { inbox, isCatchingUp } = this.options;
    const coming: LoggedEvent[] = [];
    for (const item of items) {
      const event = isLive(item) ? gated(item) : undefined;
      if (event && isCatchingUp(event.source, event.epoch, event.aggregate)) coming.push(event);
    }
    if (coming.length === 0) return new Set();
    const blocked = (await isParked) ? await parkedStreams(tx, inbox, coming) : new Set();
    return new Set(coming.flatMap(({ stream }) => (blocked.has(stream) ? [] : [stream])));
  }

  /** A stream whose first event comes is nearly always new; one that is parked, or has been here, is not. */
  #trust(items: readonly Item[]): GateTrust {
    if (this.#lookFirst > 0) this.#lookFirst--;
    const looks = this.#lookFirst > 0 || items.some((item) => this.#mayBeKnown(item, items.length < FEW_EVENTS));
    return looks ? 'locks' : 'firsts';
  }

  #mayBeKnown({ parked, replayed, redelivered, envelope }: Item, atOnce: boolean): boolean {
    if (parked || redelivered || (replayed && atOnce)) return true;
    return envelope.kind === 'logged' && envelope.sequence === 1 && this.#opened.has(envelope.stream);
  }

  /**
   * The gate is written in front of the reactions; all have ended, well or badly, when this does.
   *
   * @param atOnce start the reactions while it is not known yet whether streams that were taken for new are
   */
  async #react(
    tx: Transaction,
    gate: Gate,
    runs: readonly Planned[][],
    limitMs: number,
    atOnce: boolean,
  ): Promise<void> {
    const lanes = new Lanes();
    const written = gate.write(tx);
    if (this.options.meanwhile) setImmediate(this.options.meanwhile); // what was started is sent by then
    if (gate.isGuess && !atOnce) await written;
    const gateResult = written.then(
      () => undefined,
      (error: unknown) => new Failed(error),
    );
    const isAlone = runs.length === 1; // in nobody's way
    const reactions: Promise<Failed | undefined>[] = [];
    for (const run of runs) {
      if (reactions.length >= OVERLAPPING) await reactions.at(-OVERLAPPING);
      reactions.push(lanes.run(isAlone ? [] : keysOf(run), () => this.#runner.run(tx, run, limitMs)));
    }
    const results = await Promise.all(reactions);
    const stale = await gateResult;
    if (stale) throw stale.error;
    this.#learn(runs, results);
    blame(runs, results);
  }

  #canJoin({ takesMany, handler }: Planned['route']): boolean {
    return takesMany && !this.#curious.has(handler);
  }

  /** Remembers @EventPattern methods that want to see each event. */
  #learn(runs: readonly Planned[][], results: readonly (Failed | undefined)[]): void {
    results.forEach((failed, index) => {
      if (!(failed?.error instanceof NotHandedOnError)) return;
      const { item, route } = runs[index]![0]!;
      this.#curious.add(route.handler);
      const { message } = failed.error;
      this.#logger.warn(`${message}: the events of ${item.envelope.type} go through it one by one, which is slower`);
    });
  }

  #judge(item: Item, error: unknown): Failure {
    if (error instanceof SlowReactionError && (!item.parked || item.parked.state === 'waiting'))
      return { state: 'slow', error: error.message, counts: false };
    const counts = !isContention(error);
    const { envelope, parked } = item;
    this.#logger.error(
      `${envelope.type} ${envelope.id} failed (attempt ${(parked?.attempts ?? 0) + 1}), its stream is held and it will be retried: ${describe(error)}`,
    );
    return { state: 'retry', error: describe(error), counts };
  }
}

/** What the run must not overlap with; `undefined`: with nothing. */
function keysOf(run: readonly Planned[]): string[] | undefined {
  const keys: string[] = [];
  for (const { item, route } of run) {
    if (!route.keys) return undefined;
    keys.push(`stream:${streamOf(item)}`, ...route.keys);
  }
  return keys;
}
