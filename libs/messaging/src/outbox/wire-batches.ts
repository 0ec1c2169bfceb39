// Groups events into messages: same type, at most 100 events and 128 KiB. One stream's events never sit in two open
// batches, so that grouping cannot change their order.
import { parseEventType } from '@app/contracts';

const MAX_EVENTS = 100;
const MAX_BYTES = 128 * 1024;

export interface Outgoing {
  position: string;
  type: string;
  subject: string;
  id: string;
  bytes: number;
}

/** `events` in the order of the log, as messages in the order in which to publish them. */
export function wireBatches<Event extends Outgoing>(events: readonly Event[]): Event[][] {
  const messages: Event[][] = [];
  const open = new Map<string, { events: Event[]; bytes: number }>();
  const batchOfStream = new Map<string, string>();
  const flush = (type: string) => {
    const batch = open.get(type);
    if (!batch) return;
    messages.push(batch.events);
    open.delete(type);
  };
  for (const event of events) {
    const stream = `${parseEventType(event.type)?.aggregate}/${event.subject}`;
    const other = batchOfStream.get(stream);
    if (other !== undefined && other !== event.type) flush(other);
    const current = open.get(event.type);
    if (current && (current.events.length >= MAX_EVENTS || current.bytes + event.bytes > MAX_BYTES)) flush(event.type);
    const batch = open.get(event.type) ?? { events: [], bytes: 0 };
    batch.events.push(event);
    batch.bytes += event.bytes;
    open.set(event.type, batch);
    batchOfStream.set(stream, event.type);
  }
  for (const type of [...open.keys()]) flush(type);
  return messages;
}
