// Finds what reacts to an event: the @EventPattern method and, behind the event bus, the reactions.
import { findContract, InvalidEventError, parseEventType, type AnyEventClass } from '@app/contracts';
import type { MessageHandler } from '@nestjs/microservices';
import type { Envelope } from '../cloud-event.js';
import type { AwaitedEventBus } from './awaited-event-bus.js';

/** What is to be done with an event. */
export type Route =
  | { kind: 'react'; handler: MessageHandler; event: object; keys: readonly string[] | undefined }
  | { kind: 'ignore' }
  | { kind: 'incompatible'; error: string };

export class Router {
  readonly #handlers = new Map<string, MessageHandler>();

  constructor(private readonly bus: AwaitedEventBus) {}

  /** @throws Error if two methods of this service listen to one event: the second would run unnoticed by the first */
  add(type: string, handler: MessageHandler): void {
    if (this.#handlers.has(type)) {
      throw new Error(`Two @EventPattern('${type}') in one service; keep one, and let several reactions share it.`);
    }
    this.#handlers.set(type, handler);
  }

  get types(): string[] {
    return [...this.#handlers.keys()];
  }

  /** Where `envelope` goes. Its payload is validated only if somebody reacts to it. */
  route({ type, data }: Envelope): Route {
    const handler = this.#handlers.get(type);
    if (!handler) return this.#knowsOtherVersion(type) ? incompatible(`this version of the service does not know ${type}`) : { kind: 'ignore' };
    const contract = findContract(type);
    if (!contract) return { kind: 'react', handler, event: data as object, keys: undefined };
    try {
      const event = new contract(data as never);
      return { kind: 'react', handler, event, keys: this.#keysOf(contract, event) };
    } catch (error) {
      if (error instanceof InvalidEventError) return incompatible(error.message);
      throw error;
    }
  }

  /** `undefined`: some reaction does not say what it touches, so the event runs alone. */
  #keysOf(contract: AnyEventClass, event: object): readonly string[] | undefined {
    const keys: string[] = [];
    for (const reaction of this.bus.reactionsTo(contract)) {
      const touched = reaction.touches?.(event);
      if (!touched) return undefined;
      keys.push(...touched);
    }
    return keys;
  }

  #knowsOtherVersion(type: string): boolean {
    const fact = parseEventType(type)?.fact;
    return fact !== undefined && this.types.some((other) => parseEventType(other)?.fact === fact);
  }
}

const incompatible = (error: string): Route => ({ kind: 'incompatible', error });
