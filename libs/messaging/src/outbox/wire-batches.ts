// Groups events into messages: same type, at most 100 events and 128 KiB. One stream's events never sit in two open
// batches, so that grouping cannot change their order.

const MAX_EVENTS = 100;
export const MAX_MESSAGE_BYTES = 128 * 1024;

/** What the broker takes at most, if it is this that it has closed a channel for. */
export function sizeLimitIn(error: unknown): number | undefined {
  const { cause = error } = Object(error) as { cause?: unknown };
  const limit = /message size \d+ is larger than \D*(\d+)/.exec(String(cause))?.[1];
  return limit === undefined ? undefined : Number(limit);
}

export interface Outgoing {
  position: string;
  type: string;
  subject: string;
  id: string;
  bytes: number;
}

/**
 * @param events in the order of the log
 * @param maxBytes of a message with more than one event
 * @returns messages in the order in which to publish them
 */
export function wireBatches<Event extends Outgoing>(events: readonly Event[], maxBytes = MAX_MESSAGE_BYTES): Event[][] {
  const messages: Event[][] = [];
  const open = new Map<string, { events: Event[]; bytes: number }>();
  const typeOfStream = new Map<string, string>();
  const flush = (type: string) => {
    const batch = open.get(type);
    if (!batch) return;
    messages.push(batch.events);
    open.delete(type);
  };
  for (const event of events) {
    const { type, subject, bytes } = event;
    const stream = `${aggregateOf(type)} ${subject}`;
    const other = typeOfStream.get(stream);
    if (other !== undefined && other !== type) flush(other);
    const current = open.get(type);
    if (current && (current.events.length >= MAX_EVENTS || current.bytes + bytes > maxBytes)) flush(type);
    const batch = open.get(type) ?? { events: [], bytes: 0 };
    batch.events.push(event);
    batch.bytes += bytes;
    open.set(type, batch);
    typeOfStream.set(stream, type);
  }
  for (const type of [...open.keys()]) flush(type);
  return messages;
}

/** `users.user` of `users.user.registered.v1`. */
const aggregateOf = (type: string) => type.slice(0, type.indexOf('.', type.indexOf('.') + 1));
