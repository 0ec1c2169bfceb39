// Runs the reactions to one event, or to many at once: in their context, inside the open transaction, within a time limit.
import { runInContext, type Context } from '@app/context';
import { isAftermath, type Transaction } from '@app/database';
import { isObservable, lastValueFrom, type Observable } from 'rxjs';
import type { InboxName } from './awaited-event-bus.js';
import { causeOf, type Applying } from './because-of.js';
import { EventBatch } from './event-batch.js';
import type { Item } from './item.js';
import type { Route } from './router.js';

/** A reaction did not finish in its time; it is run again by the workers, who give it more. */
export class SlowReactionError extends Error {
  override readonly name = 'SlowReactionError';
}

/** The process is ending: what is not finished is left untouched. */
export class ShuttingDownError extends Error {
  override readonly name = 'ShuttingDownError';
}

/** The transaction was lost before this event had its turn. */
class SkippedError extends Error {
  override readonly name = 'SkippedError';
}

/** An event that somebody reacts to. */
export interface Planned {
  item: Item;
  route: Extract<Route, { kind: 'react' }>;
}

/** Why an event, or some of many, could not be applied. */
export class Failed {
  constructor(readonly error: unknown) {}
}

/** How exactly time limits are kept. One timer looks at all that runs: one for each event would cost more than the look. */
const LOOK_EVERY_MS = 20;

interface Running {
  run: readonly Planned[];
  limitMs: number;
  until: number;
  giveUp: (error: Error) => void;
}

export class ReactionRunner {
  readonly #running = new Set<Running>();
  #timer: NodeJS.Timeout | undefined;

  /** @param deadline aborted when the process cannot wait any longer */
  constructor(
    private readonly inbox: InboxName,
    private readonly deadline: AbortSignal,
  ) {
    deadline.addEventListener('abort', () => {
      for (const { giveUp } of this.#running) giveUp(shuttingDown());
    });
  }

  /**
   * Never rejects: that would cost every event a promise more.
   *
   * @param run one event, or many of one type whose reactions take many
   * @returns what a reaction threw, if one did; {@link SlowReactionError}, {@link ShuttingDownError}: then `tx` is abandoned
   */
  run(tx: Transaction, run: readonly Planned[], limitMs: number): Promise<Failed | undefined> {
    if (tx.failure) return Promise.resolve(new Failed(new SkippedError('the transaction was lost already')));
    const { item } = run[0]!;
    const context = run.length === 1 ? this.#contextOf(item, tx) : this.#contextOfMany(run, tx);
    return new Promise((resolve) => {
      const giveUp = (error: Error): void => {
        tx.abandon(error); // whatever it still sends must not be committed
        end(new Failed(error));
      };
      const running: Running = { run, limitMs, until: performance.now() + limitMs, giveUp };
      const end = (failed?: Failed): void => {
        this.#running.delete(running);
        resolve(failed);
      };
      if (this.deadline.aborted) return giveUp(shuttingDown());
      this.#begin(running);
      const fail = (error: unknown) => end(new Failed(error));
      try {
        runInContext(context, () => call(run)).then(
          (result) => (isObservable(result) ? untilComplete(result).then(() => end(), fail) : end()),
          fail,
        );
      } catch (error) {
        fail(error); // a method that is not `async`
      }
    });
  }

  /** Without `...`: it is made for every event, and objects made by spreading others were dear (ADR 8). */
  #contextOf({ envelope }: Item, transaction: Transaction): Context {
    const { correlationId, causationId, traceparent } = causeOf(envelope);
    const event: Applying = { inbox: this.inbox, envelope };
    return { correlationId, causationId, traceparent, transaction, event };
  }

  #contextOfMany(run: readonly Planned[], transaction: Transaction): Context {
    const envelopes = new Map(run.map(({ item, route }) => [route.event, item.envelope]));
    return { correlationId: '', transaction, event: { inbox: this.inbox, envelopes } satisfies Applying };
  }

  #begin(running: Running): void {
    this.#running.add(running);
    this.#timer ??= setInterval(() => this.#look(), LOOK_EVERY_MS);
  }

  #look(): void {
    if (this.#running.size === 0) {
      clearInterval(this.#timer);
      this.#timer = undefined;
    }
    const now = performance.now();
    for (const { run, limitMs, until, giveUp } of this.#running) {
      if (until <= now) giveUp(new SlowReactionError(`${nameOf(run)} took longer than ${limitMs} ms`));
    }
  }
}

function nameOf(run: readonly Planned[]): string {
  const { type, id } = run[0]!.item.envelope;
  return run.length === 1 ? `${type} ${id}` : `${type} ${id} and ${run.length - 1} more`;
}

/** Calls the method of one event, or of many; what it returns may be an Observable, as interceptors make them. */
function call(run: readonly Planned[]): Promise<unknown> {
  const { handler, event } = run[0]!.route;
  if (run.length > 1) return callWithMany(run);
  const result: unknown = handler(event);
  return result instanceof Promise ? result : Promise.resolve(result);
}

async function callWithMany(run: readonly Planned[]): Promise<void> {
  const batch = new EventBatch(run.map(({ route }) => route.event));
  try {
    const result: unknown = await run[0]!.route.handler(batch.standIn);
    if (isObservable(result)) await untilComplete(result);
  } finally {
    batch.check(); // first: Nest may have wrapped the error
  }
}

const untilComplete = (result: Observable<unknown>) => lastValueFrom(result, { defaultValue: undefined });

/** It failed because another one had failed before: not the culprit. */
export const isConsequence = (error: unknown): boolean =>
  isAftermath(error) ||
  error instanceof SkippedError ||
  (error instanceof Error && error.cause !== undefined && isConsequence(error.cause));

const shuttingDown = () => new ShuttingDownError('not finished when the process ended; it is done again');
