// Declares an event once: class, schema, name and example in one.
// `new` validates, so that a malformed event can neither leave a service nor enter one.
import { z } from 'zod';

/** What a contract says besides its name. */
export interface EventDefinition<Shape extends z.ZodRawShape> {
  /** The field of `data` that names the aggregate instance; it orders the event: same subject, same stream. */
  subject: keyof Shape & string;
  /** The payload. Unknown fields are dropped on the way in, so that a producer may add fields. */
  data: Shape;
  /** A valid payload, shown in documentation and used by tests. */
  example: z.input<z.ZodObject<Shape>>;
  /** Fields that hold personal data, for erasure. */
  personal?: readonly (keyof Shape & string)[];
}

/** The class that a contract is. `new` takes the payload, validates it and throws {@link InvalidEventError}. */
export interface EventClass<Shape extends z.ZodRawShape = z.ZodRawShape> {
  new (data: z.input<z.ZodObject<Shape>>): Readonly<z.output<z.ZodObject<Shape>>>;
  /** The one name used everywhere: CloudEvents `type`, routing key, `@EventPattern`, metric label. */
  readonly type: string;
  /** The only service that may publish it, e.g. `users`. */
  readonly owner: string;
  /** Owner and kind of thing, e.g. `users.user`; what a subscriber's queue is bound to. */
  readonly aggregate: string;
  /** The name without its version, e.g. `users.user.registered`. */
  readonly fact: string;
  readonly version: number;
  readonly subject: string;
  readonly schema: z.ZodObject<Shape>;
  readonly example: z.input<z.ZodObject<Shape>>;
  readonly personal: readonly string[];
}

/** Any contract. */
export type AnyEventClass = Omit<EventClass, 'new' | 'schema'> & {
  new (data: never): object;
  readonly schema: z.ZodObject;
};

/** A payload that does not match its contract. `issues` names every field that is wrong. */
export class InvalidEventError extends Error {
  override readonly name = 'InvalidEventError';
  constructor(
    readonly type: string,
    readonly issues: readonly { path: string; message: string }[],
  ) {
    super(`${type}: ${issues.map(({ path, message }) => `${path}: ${message}`).join('; ')}`);
  }
}

const NAME = /^(?<owner>[a-z][a-z0-9-]*)\.(?<kind>[a-z][a-z0-9-]*)\.(?<fact>[a-z][a-z0-9-]*)\.v(?<version>[1-9]\d*)$/;

/** The parts of an event's name. */
export interface EventName {
  owner: string;
  aggregate: string;
  fact: string;
  version: number;
}

// Asked for every event that passes; bounded, because anybody may send any name.
const parsed = new Map<string, EventName | undefined>();

/** The parts of an event's name, or `undefined` if it is not `<owner>.<aggregate>.<fact>.v<n>`. */
export function parseEventType(type: string): EventName | undefined {
  if (parsed.has(type)) return parsed.get(type);
  const name = parseName(type);
  if (parsed.size < 1_000) parsed.set(type, name);
  return name;
}

function parseName(type: string): EventName | undefined {
  const groups = NAME.exec(type)?.groups;
  if (!groups) return undefined;
  const { owner, kind, fact, version } = groups as Record<'owner' | 'kind' | 'fact' | 'version', string>;
  return { owner, aggregate: `${owner}.${kind}`, fact: `${owner}.${kind}.${fact}`, version: Number(version) };
}

/**
 * Declares an event: `class UserRegistered extends event('users.user.registered.v1', { … }) {}`.
 *
 * @throws TypeError if the name is not `<owner>.<aggregate>.<fact>.v<n>`.
 */
export function event<Shape extends z.ZodRawShape>(
  type: string,
  definition: EventDefinition<Shape>,
): EventClass<Shape> {
  const parts = parseEventType(type);
  if (!parts) throw new TypeError(`"${type}" is not <owner>.<aggregate>.<fact>.v<n>, e.g. users.user.registered.v1`);
  const schema = z.object(definition.data);
  class Event {
    static readonly type = type;
    static readonly owner = parts!.owner;
    static readonly aggregate = parts!.aggregate;
    static readonly fact = parts!.fact;
    static readonly version = parts!.version;
    static readonly subject = definition.subject;
    static readonly schema = schema;
    static readonly example = definition.example;
    static readonly personal = definition.personal ?? [];
    constructor(data: unknown) {
      const result = schema.safeParse(data);
      if (!result.success) {
        throw new InvalidEventError(
          type,
          result.error.issues.map(({ path, message }) => ({ path: path.join('.') || '(data)', message })),
        );
      }
      Object.assign(this, result.data);
    }
  }
  return Event as unknown as EventClass<Shape>;
}

/** The contract that an event instance was made from. */
export function contractOf(instance: object): AnyEventClass {
  const contract = instance.constructor as unknown as AnyEventClass;
  if (!contract.type || !contract.schema) {
    throw new TypeError(`${instance.constructor.name} is not an event; declare it with event() in libs/contracts`);
  }
  return contract;
}
