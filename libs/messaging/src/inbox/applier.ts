// Applies a batch of events in ONE transaction: gate, reactions, parked events and books commit together, or not at all.
// A crash anywhere rolls back; the events come again and the gate knows what it had.
import { sabotaged } from '@app/context';
import { setTimeout as sleep } from 'node:timers/promises';
import { isContention, isDatabaseUnavailable, runTransaction, Transaction } from '@app/database';
import { Logger } from '@nestjs/common';
import type { Pool } from 'pg';
import { countApplied } from '../books/count-applied.js';
import { countBatch } from '../operations/metrics.js';
import type { InboxName } from './awaited-event-bus.js';
import { firstSeen } from './foreign-events.js';
import { failpoint } from '../failpoints.js';
import { ForkError, Gate, StaleGateError } from './gate.js';
import { describe, type Failure, type Item } from './item.js';
import { Lanes } from './lanes.js';
import { park, unpark } from './parked-events.js';
import { gated, planBatch, type Plan, type Planner } from './plan.js';
import {
  isConsequence,
  ReactionRunner,
  ShuttingDownError,
  SlowReactionError,
  type Planned,
} from './reaction-runner.js';

/** Which events failed in an attempt, and why. Everything was rolled back. */
class ReactionsFailedError extends Error {
  override readonly name = 'ReactionsFailedError';
  constructor(readonly failures: Map<Item, unknown>) {
    super(`${failures.size} event(s) failed`);
  }
}

export interface ApplierOptions extends Planner {
  /** Its name in the tables. */
  inbox: string;
  name: InboxName;
  /** Aborted when the process cannot wait any longer. */
  deadline: AbortSignal;
}

/** Attempts at a batch that take failing events out of it; then it is done one by one. */
const ROUNDS = 3;
const CONTENTION_ATTEMPTS = 3;

export class Applier {
  readonly #logger = new Logger('Inbox');
  readonly #runner: ReactionRunner;

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
    for (let round = 1; round <= ROUNDS; round++) {
      if (await this.#try(items, failures, limitMs)) return;
      if (items.length === 1) break;
    }
    for (const item of items) await this.#applyAlone(item, failures, limitMs);
  }

  async #applyAlone(item: Item, failures: Map<Item, Failure>, limitMs: number): Promise<void> {
    if (await this.#try([item], failures, limitMs)) return;
    // The failure is known by now, and this attempt only parks the event.
    if (await this.#try([item], failures, limitMs)) return;
    throw new Error(`The event ${item.envelope.id} can neither be applied nor parked: ${failures.get(item)?.error}`);
  }

  /** One round: true if it was committed; false if `failures` (or a smaller batch) must be taken into account first. */
  async #try(items: readonly Item[], failures: Map<Item, Failure>, limitMs: number): Promise<boolean> {
    let contention = 0;
    for (let careful = false; ;) {
      try {
        await this.#attempt(items, failures, careful, limitMs);
        return true;
      } catch (error) {
        if (error instanceof StaleGateError) {
          careful = true;
          await sleep(5);
        } else if (error instanceof ForkError) {
          await this.options.holds.hold(error.source, error.epoch, error.message);
        } else if (error instanceof ReactionsFailedError) {
          if (sabotaged('requeue-as-retry')) throw error;
          for (const [item, cause] of error.failures) failures.set(item, this.#judge(item, cause));
          return false;
        } else if (isDatabaseUnavailable(error) || error instanceof ShuttingDownError) {
          throw error;
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

  async #attempt(items: readonly Item[], failures: ReadonlyMap<Item, Failure>, careful: boolean, limitMs: number) {
    const { inbox } = this.options;
    const client = await this.pool.connect();
    const tx = new Transaction(client, true);
    await runTransaction(client, tx, async () => {
      const logged = items.flatMap((item) => gated(item) ?? []);
      const gate = await Gate.open(tx, sabotaged('inbox-key-without-inbox') ? 'any' : inbox, logged, careful);
      const fresh = await firstSeen(tx, inbox, items);
      const plan = planBatch(items, gate, fresh, failures, this.options);
      await this.#react(tx, gate, plan, limitMs);
      tx.afterCommit(() => countBatch(plan));
      await Promise.all([
        park(tx, inbox, plan.park),
        unpark(tx, inbox, gate.passed, plan.done),
        countApplied(tx, inbox, plan.advanced),
      ]);
      await failpoint('inbox.beforeCommit');
    });
  }

  /** The gate is written in front of the reactions; all have ended, well or badly, when this does. */
  async #react(tx: Transaction, gate: Gate, plan: Plan, limitMs: number): Promise<void> {
    const lanes = new Lanes();
    const written = gate.write(tx);
    const reactions = plan.react.map((planned) =>
      lanes.run(keysOf(planned), () => this.#runner.run(tx, planned, limitMs)),
    );
    const [gateResult, ...results] = await Promise.allSettled([written, ...reactions]);
    if (gateResult.status === 'rejected') throw gateResult.reason;
    blame(plan.react, results);
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

/** What the event must not overlap with; `undefined`: with nothing. */
function keysOf({ item, route }: Planned): string[] | undefined {
  const { source, subject, id } = item.envelope;
  return route.keys && [`stream:${source} ${subject ?? id}`, ...route.keys];
}

/** Throws if a reaction failed. Statements behind a failed one fail too (25P02): those are not the culprits. */
function blame(planned: readonly Planned[], results: readonly PromiseSettledResult<void>[]): void {
  const failures = new Map<Item, unknown>();
  results.forEach((result, index) => {
    if (result.status === 'rejected' && !isConsequence(result.reason))
      failures.set(planned[index]!.item, result.reason);
  });
  for (const error of failures.values()) if (mustStop(error)) throw error;
  if (failures.size > 0) throw new ReactionsFailedError(failures);
  const aftermath = results.find((result) => result.status === 'rejected');
  if (aftermath) throw aftermath.reason;
}

const mustStop = (error: unknown): boolean =>
  isDatabaseUnavailable(error) || isContention(error) || error instanceof ShuttingDownError;
