// Finds what reacts to an event: the @EventPattern method and, behind the event bus, the reactions.
import { findContract, InvalidEventError, parseEventType } from '@app/contracts';
import type { MessageHandler } from '@nestjs/microservices';
import type { Envelope } from '../cloud-event.js';
import { takesMany, type AnyReaction, type AwaitedEventBus, type InboxName } from './awaited-event-bus.js';

/** What is to be done with an event. */
export type Route =
  | {
      kind: 'react';
      handler: MessageHandler;
      event: object;
      keys: readonly string[] | undefined;
      /** All reactions to it take many events at once. */
      takesMany: boolean;
    }
  | { kind: 'ignore' }
  | { kind: 'paused'; error: string }
  | { kind: 'incompatible'; error: string };

/** Handlers of the whole service, by event type. */
export type Handlers = ReadonlyMap<string, MessageHandler>;

/** What is known of a type of events before one comes. */
interface Destination {
  handler: MessageHandler;
  /** None: a foreign event. */
  contract: ReturnType<typeof findContract>;
  reactions: readonly AnyReaction[];
  takesMany: boolean;
}

/** One inbox's view of the handlers: the events that its reactions handle. */
export class Router {
  readonly #destinations = new Map<string, Destination>();

  constructor(
    handlers: Handlers,
    private readonly bus: AwaitedEventBus,
    private readonly inbox: InboxName,
  ) {
    for (const [type, handler] of handlers) {
      if (!this.#isMine(type)) continue;
      const contract = findContract(type);
      const reactions = contract ? bus.reactionsTo(contract, inbox) : [];
      const many = reactions.length > 0 && reactions.every(takesMany);
      this.#destinations.set(type, { handler, contract, reactions, takesMany: many });
    }
  }

  get types(): string[] {
    return [...this.#destinations.keys()];
  }

  /** What the inbox has to be bound to. */
  get aggregates(): string[] {
    return [...new Set(this.types.flatMap((type) => parseEventType(type)?.aggregate ?? []))];
  }

  /** Every reaction of this inbox with the event that it handles. */
  get reactions(): { type: string; aggregate: string; reaction: AnyReaction }[] {
    return this.types.flatMap((type) => {
      const contract = findContract(type);
      if (!contract) return [];
      const { aggregate } = contract;
      return this.bus.reactionsTo(contract, this.inbox).map((reaction) => ({ type, aggregate, reaction }));
    });
  }

  /** Where `envelope` goes. Its payload is validated only if somebody reacts to it. */
  route({ type, data }: Envelope): Route {
    const destination = this.#destinations.get(type);
    if (!destination)
      return this.#knowsOtherVersion(type)
        ? incompatible(`this version of the service does not know ${type}`)
        : { kind: 'ignore' };
    const { handler, contract, reactions } = destination;
    if (!contract) return { kind: 'react', handler, event: data as object, keys: undefined, takesMany: false };
    for (const reaction of reactions) {
      const why = this.bus.isPaused(reaction);
      if (why) return { kind: 'paused', error: `${reaction.constructor.name} is ${why}` };
    }
    try {
      const event = new contract(data as never);
      return { kind: 'react', handler, event, keys: keysOf(reactions, event), takesMany: destination.takesMany };
    } catch (error) {
      if (error instanceof InvalidEventError) return incompatible(error.message);
      throw error;
    }
  }

  /** What no reaction claims – a foreign event, a handler without the bus – belongs to the inbox without a name. */
  #isMine(type: string): boolean {
    const contract = findContract(type);
    if (contract && this.bus.reactionsTo(contract, this.inbox).length > 0) return true;
    const claimed = contract !== undefined && this.bus.reactionsTo(contract).length > 0;
    return !claimed && this.inbox.name === undefined;
  }

  #knowsOtherVersion(type: string): boolean {
    const fact = parseEventType(type)?.fact;
    return fact !== undefined && this.types.some((other) => parseEventType(other)?.fact === fact);
  }
}

/** `undefined`: some reaction does not say what it touches, so the event runs alone. */
function keysOf(reactions: readonly AnyReaction[], event: object): readonly string[] | undefined {
  const keys: string[] = [];
  for (const reaction of reactions) {
    const touched = reaction.touches?.(event);
    if (!touched) return undefined;
    keys.push(...touched);
  }
  return keys;
}

const incompatible = (error: string): Route => ({ kind: 'incompatible', error });
