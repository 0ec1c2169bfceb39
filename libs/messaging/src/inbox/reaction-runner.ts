// Runs one event's reactions: in the context of the event, inside the open transaction, within a time limit.
import { runInContext } from '@app/context';
import { isAftermath, type Transaction } from '@app/database';
import { isObservable, lastValueFrom } from 'rxjs';
import type { InboxName } from './awaited-event-bus.js';
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

export class ReactionRunner {
  /** How to give up what is running now. */
  readonly #running = new Set<(error: Error) => void>();

  /** @param deadline aborted when the process cannot wait any longer */
  constructor(
    private readonly inbox: InboxName,
    private readonly deadline: AbortSignal,
  ) {
    deadline.addEventListener('abort', () => {
      for (const giveUp of this.#running) giveUp(shuttingDown());
    });
  }

  /** @throws what the reaction threw; {@link SlowReactionError}, {@link ShuttingDownError}: then `tx` is abandoned */
  async run(tx: Transaction, { item, route }: Planned, limitMs: number): Promise<void> {
    if (tx.failure) throw new SkippedError('the transaction was lost already');
    const { envelope } = item;
    const context = {
      correlationId: envelope.correlationid ?? envelope.id,
      causationId: envelope.id,
      transaction: tx,
      event: { envelope, inbox: this.inbox },
      ...(envelope.traceparent && { traceparent: envelope.traceparent }),
    };
    await this.#within(tx, limitMs, `${envelope.type} ${envelope.id}`, () =>
      runInContext(context, async () => {
        const result: unknown = await route.handler(route.event);
        if (isObservable(result)) await lastValueFrom(result, { defaultValue: undefined });
      }),
    );
  }

  async #within(tx: Transaction, limitMs: number, what: string, work: () => Promise<void>): Promise<void> {
    let giveUp = (_error: Error): void => {};
    const limit = new Promise<never>((_, reject) => {
      giveUp = (error) => {
        tx.abandon(error); // whatever it still sends must not be committed
        reject(error);
      };
    });
    const timer = setTimeout(() => giveUp(new SlowReactionError(`${what} took longer than ${limitMs} ms`)), limitMs);
    this.#running.add(giveUp);
    try {
      if (this.deadline.aborted) giveUp(shuttingDown());
      await Promise.race([limit, this.deadline.aborted ? limit : work()]);
    } finally {
      clearTimeout(timer);
      this.#running.delete(giveUp);
    }
  }
}

/** It failed because another one had failed before: not the culprit. */
export const isConsequence = (error: unknown): boolean =>
  isAftermath(error) ||
  error instanceof SkippedError ||
  (error instanceof Error && error.cause !== undefined && isConsequence(error.cause));

const shuttingDown = () => new ShuttingDownError('not finished when the process ended; it is done again');
