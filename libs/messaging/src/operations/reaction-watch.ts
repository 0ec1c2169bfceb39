// Stands around every reaction: measures it, counts its failures, and pauses it when it fails more than half of its last
// 100 events – its events are then parked until somebody resumes it, and everything else flows.
import { currentContext, runInContext } from '@app/context';
import { isAftermath, isContention, isDatabaseUnavailable, TransactionClosedError } from '@app/database';
import { Injectable, Logger, type OnModuleDestroy } from '@nestjs/common';
import { AwaitedEventBus } from '../inbox/awaited-event-bus.js';
import type { Applying } from '../inbox/because-of.js';
import { Outcomes, REMEMBERED } from './kill-switch.js';
import { reactionDuration, reactionFailures } from './metrics.js';
import { Pauses } from './pauses.js';

/** A reaction that runs this long is given up by whoever called it; it may never return to say so itself. */
const HOPELESS_MS = 29_000;
const LOOK_EVERY_MS = 1_000;

interface Watched {
  name: string;
  scope: string;
  outcomes: Outcomes;
  duration: ReturnType<typeof reactionDuration.labels>;
}

interface Run {
  reaction: Watched;
  events: readonly string[];
  started: number;
}

@Injectable()
export class ReactionWatch implements OnModuleDestroy {
  readonly #logger = new Logger('Reactions');
  readonly #reactions = new Map<object, Watched>();
  readonly #running = new Set<Run>();
  readonly #timer = setInterval(() => this.#findHanging(), LOOK_EVERY_MS).unref();

  constructor(
    bus: AwaitedEventBus,
    private readonly pauses: Pauses,
  ) {
    bus.watch = (reaction) => this.#begin(this.#watched(reaction));
    bus.isPaused = (reaction) => pauses.isPaused(this.#watched(reaction).scope);
    pauses.on('resumed', (scope) => this.#forget(scope));
  }

  onModuleDestroy(): void {
    clearInterval(this.#timer);
  }

  #begin(reaction: Watched): (failure?: { error: unknown }) => void {
    const run = { reaction, events: eventIds(), started: performance.now() };
    this.#running.add(run);
    return (failure) => {
      if (!failure) this.#end(run, 'applied');
      else this.#end(run, isInnocent(failure.error) ? 'interrupted' : 'failed');
    };
  }

  #end(run: Run, outcome: 'applied' | 'failed' | 'interrupted'): void {
    const { reaction, events, started } = run;
    if (!this.#running.delete(run)) return; // was found hanging
    reaction.duration.observe((performance.now() - started) / 1000);
    if (outcome === 'interrupted') return;
    const failed = outcome === 'failed';
    if (failed) reactionFailures.labels(reaction.name).inc();
    if (failed && events.length > 1) return; // each of them is tried alone now
    const isTooMuch = events.map((event) => reaction.outcomes.add(event, failed)).at(-1);
    if (isTooMuch && failed) this.#pause(reaction);
  }

  #findHanging(): void {
    const hopeless = performance.now() - HOPELESS_MS;
    for (const run of this.#running) {
      if (run.started > hopeless) return; // in the order of their start
      this.#end(run, 'failed');
    }
  }

  #pause(reaction: Watched): void {
    const { name, scope, outcomes } = reaction;
    reaction.outcomes = new Outcomes();
    if (this.pauses.isPaused(scope)) return;
    const reason = `failed ${outcomes.failures} of its last ${outcomes.events} events`;
    this.#logger.error(
      `${name} ${reason} and is paused. Its events are parked; when it is repaired: npm run events -- resume ${scope}`,
    );
    // Outside of the event's context: its transaction is about to be rolled back.
    runInContext({ correlationId: currentContext()?.correlationId ?? '' }, () => {
      this.pauses
        .pause(scope, { operator: { who: 'kill switch', reason } })
        .catch((error: Error) => this.#logger.error(`${name} could not be paused: ${error.message}`));
    });
  }

  #watched(reaction: object): Watched {
    let watched = this.#reactions.get(reaction);
    if (!watched) {
      const { name } = reaction.constructor;
      const duration = reactionDuration.labels(name);
      watched = { name, scope: `reaction:${name}`, outcomes: new Outcomes(), duration };
      this.#reactions.set(reaction, watched);
    }
    return watched;
  }

  /** A reaction that goes on starts with a clean slate. */
  #forget(scope: string): void {
    for (const watched of this.#reactions.values()) if (watched.scope === scope) watched.outcomes = new Outcomes();
  }
}

/** What is being applied; of many events the last hundred, for no more are remembered. */
function eventIds(): readonly string[] {
  const { envelope, envelopes } = (currentContext()?.event ?? {}) as Partial<Applying>;
  if (!envelopes) return [envelope?.id ?? ''];
  return [...envelopes.values()].slice(-REMEMBERED).map(({ id }) => id);
}

/** Not the reaction's fault: another one failed in the same transaction, or the database is busy or away. */
function isInnocent(error: unknown): boolean {
  if (error instanceof TransactionClosedError) return true;
  if (isAftermath(error) || isContention(error) || isDatabaseUnavailable(error)) return true;
  return error instanceof Error && error.cause !== undefined && isInnocent(error.cause);
}
