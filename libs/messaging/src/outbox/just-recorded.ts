// Events that this process has just recorded: the relay publishes them without reading them back. Only a short cut: all of them are
// in the outbox, and what does not go this way is read from there. A crash leaves them there, like those that were read.
import type { LogRow } from '../cloud-event.js';

/** An event as it was written into the log. */
export interface Recorded extends LogRow {
  aggregate: string;
  /** On the wire, at most. */
  bytes: number;
}

/** More at once cost less when they are read, and nothing here waits for a relay that is slow. */
const MOST_EVENTS = 64;
const MOST_BYTES = 1024 * 1024;
/** Streams of which it is remembered how far they were published. */
const MOST_STREAMS = 1_000;

export class JustRecorded {
  #events: Recorded[] = [];
  #bytes = 0;
  /** By stream, the sequence that was published last; the stream that was used last is the last. */
  readonly #published = new Map<string, number>();

  get size(): number {
    return this.#events.length;
  }

  /** @returns whether it has room for it and for those before; else all of them will be read */
  add(event: Recorded): boolean {
    this.#events.push(event);
    this.#bytes += event.bytes;
    const hasRoom = this.#events.length <= MOST_EVENTS && this.#bytes <= MOST_BYTES;
    if (!hasRoom) this.clear();
    return hasRoom;
  }

  /** The outbox is about to be read, which finds them. */
  clear(): readonly Recorded[] {
    const events = this.#events;
    this.#events = [];
    this.#bytes = 0;
    return events;
  }

  /**
   * All of them, in the order of the log, if each is the first event of its stream or right behind one that was published. Else
   * `undefined`: what comes before is not known here, for another process has recorded it, and all have to be read.
   */
  take(): readonly Recorded[] | undefined {
    const events = this.clear().toSorted((one, other) => Number(one.position) - Number(other.position));
    const last = new Map<string, number>();
    for (const event of events) {
      const stream = streamOf(event);
      const sequence = Number(event.sequence);
      if (sequence !== (last.get(stream) ?? this.#published.get(stream) ?? 0) + 1) return undefined;
      last.set(stream, sequence);
    }
    this.published(events);
    return events;
  }

  /** They are on their way, in this order, in front of whatever is taken from now on. */
  published(events: readonly Recorded[]): void {
    for (const event of events) {
      const stream = streamOf(event);
      this.#published.delete(stream);
      this.#published.set(stream, Number(event.sequence));
    }
    for (const stream of this.#published.keys()) {
      if (this.#published.size <= MOST_STREAMS) break;
      this.#published.delete(stream);
    }
  }

  /** Something that was on its way has to be read again: what follows it in its stream must not overtake it. */
  forgetPublished(): void {
    this.#published.clear();
  }
}

const streamOf = ({ epoch, aggregate, subject }: Recorded): string => `${epoch} ${aggregate} ${subject}`;
