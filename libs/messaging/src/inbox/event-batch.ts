// Takes all events of a batch through an @EventPattern method at once. The method gets a stand-in for an event, which it
// can only hand on; a method that looks at its event is an honest part of the road, and gets its events one by one.

/** The @EventPattern method did something else with its event than to hand it on. Its events go one by one from now on. */
export class NotHandedOnError extends Error {
  override readonly name = 'NotHandedOnError';
}

const batches = new WeakMap<object, EventBatch>();

export class EventBatch {
  /** What the @EventPattern method is called with. */
  readonly standIn: object;
  #events: readonly object[];
  #isTaken = false;
  #trouble: NotHandedOnError | undefined;

  /** @param events two or more of one class, in their order */
  constructor(events: readonly object[]) {
    this.#events = events;
    const look = (what: PropertyKey) => {
      // Nest and every `await` ask for these.
      if (what === 'then' || what === 'constructor' || typeof what === 'symbol') return;
      this.#trouble ??= new NotHandedOnError(`the @EventPattern method looks at "${what}"`);
      throw this.#trouble;
    };
    this.standIn = new Proxy(events[0]!, {
      get: (event, key) => (look(key), Reflect.get(event, key) as unknown),
      has: (event, key) => (look(key), Reflect.has(event, key)),
      set: (_, key) => (look(key), false),
      deleteProperty: (_, key) => (look(key), false),
      ownKeys: (event) => (look('*'), Reflect.ownKeys(event)),
      getOwnPropertyDescriptor: (event, key) => (look(key), Reflect.getOwnPropertyDescriptor(event, key)),
    });
    batches.set(this.standIn, this);
  }

  /** The batch that `event` stands for, if it is a stand-in. */
  static behind(event: object): EventBatch | undefined {
    return batches.get(event);
  }

  /** The events, for those who react to them. */
  take(): readonly object[] {
    if (this.#isTaken) this.#trouble ??= new NotHandedOnError('the @EventPattern method hands its event on twice');
    if (this.#trouble) throw this.#trouble;
    this.#isTaken = true;
    return this.#events;
  }

  /** @throws {@link NotHandedOnError} unless the method has done with the stand-in what it is for, even if it caught that */
  check(): void {
    if (this.#trouble) throw this.#trouble;
    if (!this.#isTaken) throw new NotHandedOnError('the @EventPattern method does not hand its event on');
    this.#events = []; // what a WeakMap leads to survives until the next large collection (ADR 8)
  }
}
