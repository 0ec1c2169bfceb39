// Applies a batch of events in ONE transaction: gate, reactions, parked events and books commit together, or not at all.
// A crash anywhere rolls back; the events come again and the gate knows what it had.
import { setTimeout as sleep } from 'node:timers/promises';
import { runInContext } from '@app/context';
import { parseEventType } from '@app/contracts';
import { isAftermath, isContention, isDatabaseUnavailable, runTransaction, Transaction } from '@app/database';
import { Logger } from '@nestjs/common';
import type { Pool } from 'pg';
import { isObservable, lastValueFrom } from 'rxjs';
import type { Envelope, ForeignEvent } from '../cloud-event.js';
import type { Holds } from '../books/holds.js';
import type { InboxName } from './awaited-event-bus.js';
import { ForkError, Gate, StaleGateError, type GatedEvent } from './gate.js';
import { describe, type Failure, type Item } from './item.js';
import { Lanes } from './lanes.js';
import { park, unpark, type Parking } from './parked-events.js';
import type { Route, Router } from './router.js';

/** A reaction did not finish in its time; it is run again by the workers, who give it more. */
class SlowReactionError extends Error {
  override readonly name = 'SlowReactionError';
}

/** Which events failed in an attempt, and why. Everything was rolled back. */
class ReactionsFailedError extends Error {
  override readonly name = 'ReactionsFailedError';
  constructor(readonly failures: Map<Item, unknown>) {
    super(`${failures.size} event(s) failed`);
  }
}

export interface ApplierOptions {
  /** Its name in the tables. */
  inbox: string;
  name: InboxName;
  router: Router;
  holds: Holds;
  /** Whether replay is about to bring what lies before this event, so that it need not be parked. */
  isCatchingUp: (source: string, epoch: string, aggregate: string) => boolean;
}

/** Attempts at a batch that take failing events out of it; then it is done one by one. */
const ROUNDS = 3;
const CONTENTION_ATTEMPTS = 3;

export class Applier {
  readonly #logger = new Logger('Inbox');

  constructor(
    private readonly pool: Pool,
    private readonly options: ApplierOptions,
  ) {}

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
          for (const [item, cause] of error.failures) failures.set(item, this.#judge(item, cause));
          return false;
        } else if (isDatabaseUnavailable(error)) {
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
    const client = await this.pool.connect();
    const tx = new Transaction(client, true);
    await runTransaction(client, tx, async () => {
      const gate = await Gate.open(tx, this.options.inbox, items.flatMap(gated), careful);
      const fresh = await this.#firstSeen(tx, items);
      const plan = this.#plan(items, gate, fresh, failures);
      const lanes = new Lanes();
      const written = gate.write(tx);
      const reactions = plan.react.map(({ item, route }) =>
        lanes.run(route.keys && [streamOf(item), ...route.keys], () => this.#react(tx, item, route, limitMs)),
      );
      const [gateResult, ...results] = await Promise.allSettled([written, ...reactions]);
      if (gateResult.status === 'rejected') throw gateResult.reason;
      blame(plan.react, results);
      await Promise.all([
        park(tx, this.options.inbox, plan.park),
        unpark(tx, plan.done),
        this.#count(tx, plan.advanced),
      ]);
    });
  }

  /** Decides what becomes of every item. */
  #plan(items: readonly Item[], gate: Gate, fresh: ReadonlySet<Envelope>, failures: ReadonlyMap<Item, Failure>) {
    const plan = { react: [] as Planned[], park: [] as Parking[], done: [] as Item[], advanced: [] as GatedEvent[] };
    for (const item of items) {
      const [event] = gated(item);
      const failure = failures.get(item);
      if (event) {
        const held = this.options.holds.reasonFor(event.source, event.epoch);
        const verdict = held ? gate.look(event) : gate.judge(event);
        if (verdict === 'duplicate') {
          plan.done.push(item);
          continue;
        }
        if (held || verdict === 'ahead') {
          if (held || item.parked || !this.options.isCatchingUp(event.source, event.epoch, event.aggregate)) {
            plan.park.push({ item, failure: { state: 'waiting', error: held ?? '', counts: false } });
          }
          continue;
        }
      } else if (!fresh.has(item.envelope) && !item.parked) continue;
      const route = failure ? undefined : this.options.router.route(item.envelope);
      if (failure || route!.kind === 'incompatible') {
        if (event) gate.hold(event);
        plan.park.push({ item, failure: failure ?? this.#incompatible(item, route as { error: string }) });
        continue;
      }
      if (event) {
        gate.advance(event);
        plan.advanced.push(event);
      }
      plan.done.push(item);
      if (route!.kind === 'react') plan.react.push({ item, route: route as Planned['route'] });
    }
    return plan;
  }

  #incompatible({ envelope }: Item, { error }: { error: string }): Failure {
    this.#logger.error(`${envelope.type} ${envelope.id} is parked until this service is updated: ${error}`);
    return { state: 'incompatible', error, counts: false };
  }

  #judge(item: Item, error: unknown): Failure {
    if (error instanceof SlowReactionError && !item.parked)
      return { state: 'slow', error: error.message, counts: false };
    const counts = !isContention(error);
    const { envelope, parked } = item;
    this.#logger.error(
      `${envelope.type} ${envelope.id} failed (attempt ${(parked?.attempts ?? 0) + 1}), its stream is held and it will be retried: ${describe(error)}`,
    );
    return { state: 'retry', error: describe(error), counts };
  }

  /** Runs the @EventPattern method in the context of its event, and waits for it. */
  async #react(tx: Transaction, { envelope }: Item, route: Planned['route'], limitMs: number): Promise<void> {
    const context = {
      correlationId: envelope.correlationid ?? envelope.id,
      causationId: envelope.id,
      transaction: tx,
      event: { envelope, inbox: this.options.name },
      ...(envelope.traceparent && { traceparent: envelope.traceparent }),
    };
    await withinLimit(tx, `${envelope.type} ${envelope.id}`, limitMs, () =>
      runInContext(context, async () => {
        const result: unknown = await route.handler(route.event);
        if (isObservable(result)) await lastValueFrom(result, { defaultValue: undefined });
      }),
    );
  }

  /** Foreign events that were never seen before. */
  async #firstSeen(tx: Transaction, items: readonly Item[]): Promise<Set<Envelope>> {
    const foreign = items.flatMap(({ envelope, parked }) => (envelope.kind === 'foreign' && !parked ? [envelope] : []));
    if (foreign.length === 0) return new Set();
    const { rows } = await tx.query<{ source: string; id: string }>(
      `insert into messaging.foreign_events (inbox, source, id)
       select $1, u.source, u.id from unnest($2::text[], $3::text[]) u (source, id) order by 2, 3
       on conflict do nothing returning source, id`,
      [this.options.inbox, foreign.map(({ source }) => source), foreign.map(({ id }) => id)],
    );
    const unseen = new Set(rows.map(idOf));
    // Only the first copy within the batch.
    return new Set(foreign.filter((event) => unseen.delete(idOf(event))));
  }

  /** The books: how many events of each page went through. Last, so that the rows are locked only for the commit. */
  async #count(tx: Transaction, advanced: readonly GatedEvent[]): Promise<void> {
    if (advanced.length === 0) return;
    const pages = new Map<string, { event: GatedEvent; applied: number }>();
    for (const event of advanced) {
      const key = `${event.source} ${event.epoch} ${event.aggregate} ${event.page}`;
      const page = pages.get(key);
      if (page) page.applied++;
      else pages.set(key, { event, applied: 1 });
    }
    const rows = [...pages.values()];
    await tx.query(
      `insert into messaging.inbox_pages (inbox, source, epoch, aggregate, page, applied)
       select $1, u.* from unnest($2::text[], $3::uuid[], $4::text[], $5::bigint[], $6::bigint[]) u order by 2, 3, 4, 5
       on conflict (inbox, source, epoch, aggregate, page) do update set applied = inbox_pages.applied + excluded.applied`,
      [
        this.options.inbox,
        rows.map(({ event }) => event.source),
        rows.map(({ event }) => event.epoch),
        rows.map(({ event }) => event.aggregate),
        rows.map(({ event }) => event.page),
        rows.map(({ applied }) => applied),
      ],
    );
  }
}

interface Planned {
  item: Item;
  route: Extract<Route, { kind: 'react' }>;
}

const idOf = ({ source, id }: Pick<ForeignEvent, 'source' | 'id'>) => `${source} ${id}`;

const streamOf = ({ envelope }: Item) => `stream:${envelope.source} ${envelope.subject ?? envelope.id}`;

function gated({ envelope }: Item): [GatedEvent] | [] {
  if (envelope.kind !== 'logged') return [];
  return [{ ...envelope, aggregate: parseEventType(envelope.type)?.aggregate ?? envelope.type }];
}

async function withinLimit(tx: Transaction, what: string, limitMs: number, work: () => Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      const error = new SlowReactionError(`${what} took longer than ${limitMs} ms`);
      tx.abandon(error); // whatever it still sends must not be committed
      reject(error);
    }, limitMs);
  });
  try {
    await Promise.race([work(), limit]);
  } finally {
    clearTimeout(timer);
  }
}

/** Throws if a reaction failed. Statements behind a failed one fail too (25P02): those are not the culprits. */
function blame(planned: readonly Planned[], results: readonly PromiseSettledResult<void>[]): void {
  const failures = new Map<Item, unknown>();
  results.forEach((result, index) => {
    if (result.status === 'rejected' && !isConsequence(result.reason))
      failures.set(planned[index]!.item, result.reason);
  });
  for (const error of failures.values()) if (isDatabaseUnavailable(error) || isContention(error)) throw error;
  if (failures.size > 0) throw new ReactionsFailedError(failures);
  const aftermath = results.find((result) => result.status === 'rejected');
  if (aftermath) throw aftermath.reason;
}

const isConsequence = (error: unknown): boolean =>
  isAftermath(error) || (error instanceof Error && error.cause !== undefined && isConsequence(error.cause));
