// The event bus of @nestjs/cqrs, awaited: `publish` resolves when every reaction has finished, and throws if one failed.
// The stock bus does neither (it drops errors and resolves at once), so an event could be acknowledged into nothing.
import { currentContext } from '@app/context';
import { Injectable, type Type } from '@nestjs/common';
import { EventBus, type IEvent, type IEventHandler } from '@nestjs/cqrs';
import type { Applying } from './because-of.js';
import { EventBatch } from './event-batch.js';

/** What every reaction may say of itself. */
interface ReactionTraits<Event extends IEvent> {
  /**
   * Names what the reaction reads or writes besides rows of the event's own stream, e.g. `['user:' + event.userId]`.
   * Events without a common name overlap, which is 3–4 times faster. Without this method the reaction runs alone.
   * A name too few is a silent lost update: two reactions in one transaction do not see each other's row locks.
   */
  touches?(event: Event): readonly string[];
  /**
   * The inbox it belongs to; by default the service's only one. An inbox of its own (queue, gate, retries) starts from the
   * beginning of history and does not share the fate of other reactions.
   */
  readonly inbox?: string;
  /** A reaction added to an inbox that is past the beginning must say so: it will not see what happened before. */
  readonly history?: 'from now on';
}

/**
 * What a service does when it hears an event: a class with `@EventsHandler(Event)`.
 * It runs inside the transaction that also advances the gate: `database.tx`. No network calls: write an intent instead.
 * It may be called more than once for an event – after a failure, a crash, or for a duplicate that is only then found to be
 * one – and all but one of these calls are rolled back.
 */
export interface Reaction<Event extends IEvent> extends ReactionTraits<Event>, IEventHandler<Event> {
  handle(event: Event): Promise<void>;
}

/**
 * A reaction on a hot path, instead of `handle`: one statement for many events.
 *
 * `handleMany` is called with the events of its type that are in a batch, in the order of their streams; an event that
 * comes alone is a batch of one. If it fails, everything is rolled back and it is called again with each event alone, so
 * that the one that fails is found and parked, and the others go through. It is called with many only if all reactions of
 * the inbox to this event take many, and if the `@EventPattern` method only hands its event on.
 * What it records belongs to the story of one event only inside of {@link becauseOf}.
 */
export interface BatchReaction<Event extends IEvent> extends ReactionTraits<Event> {
  handleMany(events: readonly Event[]): Promise<void>;
}

export type AnyReaction = (Reaction<IEvent> | BatchReaction<IEvent>) & ReactionTraits<IEvent>;

/** Whether it takes many events at once. */
export const takesMany = (reaction: AnyReaction): reaction is BatchReaction<IEvent> => 'handleMany' in reaction;

/** One of a service's inboxes; `undefined` is the one without a name. */
export interface InboxName {
  readonly name: string | undefined;
}

type Bound = Parameters<EventBus['bind']>[0];

@Injectable()
export class AwaitedEventBus extends EventBus {
  readonly #reactions = new Map<string, AnyReaction[]>();
  /** Those of one inbox, as they have been asked for. */
  #ofInbox = new WeakMap<InboxName, Map<string, readonly AnyReaction[]>>();
  /** Called when a reaction begins; calls what it returns when the reaction has ended, with the error if it failed. */
  watch: (reaction: AnyReaction) => (failure?: { error: unknown }) => void = () => () => {};
  /** Why a reaction is paused, if it is. */
  isPaused: (reaction: AnyReaction) => string | undefined = () => undefined;

  override bind(handler: Bound, id: string): void {
    const name = handler.metatype?.name ?? String(handler.name);
    if (!handler.isDependencyTreeStatic()) {
      throw new Error(`${name}: a reaction must not be request-scoped; it would be built anew for every event.`);
    }
    const reaction = handler.instance as AnyReaction;
    if ('handle' in reaction === 'handleMany' in reaction) {
      throw new Error(`${name} must have either handle or handleMany: two ways to do one thing drift apart.`);
    }
    const reactions = this.#reactions.get(id) ?? [];
    if (reactions.some((other) => other.constructor === reaction.constructor)) {
      throw new Error(`${name} is provided by two modules and would run twice; provide it in one.`);
    }
    this.#reactions.set(id, [...reactions, reaction]);
    this.#ofInbox = new WeakMap();
  }

  /** The inboxes that the reactions of this service belong to. */
  get inboxes(): InboxName[] {
    const names = new Set([...this.#reactions.values()].flat().map(({ inbox }) => inbox));
    return [...names.add(undefined)].map((name) => ({ name }));
  }

  /** What reacts to an event of this class, in any inbox or in one. */
  reactionsTo(event: Type<IEvent> | object, inbox?: InboxName): readonly AnyReaction[] {
    const id = this.eventIdProvider.getEventId(event as Type<IEvent>);
    const reactions = (id && this.#reactions.get(id)) || [];
    if (!id || !inbox) return reactions;
    const known = this.#ofInbox.get(inbox) ?? new Map<string, readonly AnyReaction[]>();
    this.#ofInbox.set(inbox, known);
    const found = known.get(id) ?? reactions.filter((reaction) => reaction.inbox === inbox.name);
    known.set(id, found);
    return found;
  }

  /**
   * Runs the reactions one after the other.
   *
   * @throws the error of the first one that failed; the rest did not run, and all is rolled back
   */
  override publish<Event extends IEvent>(event: Event): Promise<void> {
    return this.#react(EventBatch.behind(event)?.take() ?? [event]);
  }

  override async publishAll<Event extends IEvent>(events: Event[]): Promise<void> {
    for (const event of events) await this.publish(event);
  }

  /** Nothing is subscribed; the bus works until the last event is finished. */
  override onModuleDestroy(): void {}

  async #react(events: readonly IEvent[]): Promise<void> {
    for (const reaction of this.#mustReactTo(events[0]!)) {
      if (events.length > 1 && !takesMany(reaction))
        throw new Error(`${reaction.constructor.name} takes one event at a time.`);
      const ended = this.watch(reaction);
      try {
        await (takesMany(reaction) ? reaction.handleMany(events) : reaction.handle(events[0]!));
      } catch (error) {
        ended({ error });
        throw error;
      }
      ended();
    }
    for (const event of events) this.subject$.next(event); // sagas and observers
  }

  #mustReactTo(event: IEvent): readonly AnyReaction[] {
    const { inbox } = (currentContext()?.event ?? {}) as Partial<Applying>;
    const reactions = this.reactionsTo(event.constructor, inbox);
    if (reactions.length > 0) return reactions;
    throw new Error(`Nothing reacts to ${event.constructor.name}; remove its @EventPattern.`);
  }
}
