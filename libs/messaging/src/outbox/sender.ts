// Sends events to the broker and deals with its answers. After a channel error, events go one by one, until the one that
// closes the channel all by itself is found and set aside. An outage never uses up attempts.
import { sabotaged } from '@app/context';
import { Logger } from '@nestjs/common';
import type { Options } from 'amqplib';
import type { Pool } from 'pg';
import { BATCH_CONTENT_TYPE, EVENT_CONTENT_TYPE } from '../cloud-event.js';
import { failpoint } from '../failpoints.js';
import { published, unroutable } from '../operations/metrics.js';
import { namesOf } from '../options.js';
import { jitter, pause } from '../rabbitmq/backoff.js';
import { Publisher, PublishFailedError } from '../rabbitmq/publisher.js';
import type { OutgoingEvent } from './outbox-reader.js';
import { setAside } from './unpublishable.js';
import { MAX_MESSAGE_BYTES, sizeLimitIn } from './wire-batches.js';
import type { Window } from './window.js';

/** What the broker says of the service as a whole, or of itself: 320 forced, 403 refused, 404 no exchange, 530 vhost. */
const NOT_THE_EVENT = [320, 403, 404, 530];
/**
 * A channel may go on refusing for a queue that has long had room again (3.10, when a length limit is taken away while
 * nobody consumes): after so many refusals, some 10 s, a new one is tried. Measured: never without it, 11 s with it.
 */
const STUBBORN_REFUSALS = 8;
const REBUILD_EVERY_MS = 20_000;

/** What is sent at once. */
interface Message {
  positions: readonly string[];
  body: Buffer;
  properties: Options.Publish & { messageId: string; type: string };
}

export class Sender {
  readonly #logger = new Logger('Relay');
  readonly #publisher: Publisher;
  /** Events that were refused: how often, and how much had been published by then. */
  readonly #refusals = new Map<string, { attempts: number; published: number }>();
  readonly #counts = { published: 0, unroutable: 0, nacked: 0, unpublishable: 0 };
  /** Up to this position there may be events that close the channel. */
  #carefulUpTo = 0;
  #rebuiltAt = -Infinity;
  #maxMessageBytes = MAX_MESSAGE_BYTES;
  #unanswered = 0;

  constructor(
    urls: readonly string[],
    private readonly service: string,
    private readonly pool: Pool,
    private readonly window: Window,
  ) {
    this.#publisher = new Publisher(urls, service);
  }

  get link() {
    return this.#publisher.link;
  }

  /** Connected, and not blocked. */
  get isReady(): boolean {
    return this.link.status.state === 'connected' && this.link.channel !== undefined;
  }

  /** Messages that the broker has not answered yet. */
  get unanswered(): number {
    return this.#unanswered;
  }

  get maxMessageBytes(): number {
    return this.#maxMessageBytes;
  }

  /** Events confirmed, of these returned because nobody listens yet, refused by a full queue, and set aside. */
  get counts(): Readonly<Record<'published' | 'unroutable' | 'nacked' | 'unpublishable', number>> {
    return this.#counts;
  }

  /** Whether this event has to be sent alone. */
  isCarefulAt({ position }: OutgoingEvent): boolean {
    return Number(position) <= this.#carefulUpTo;
  }

  /** Sends one message; never rejects. What is not confirmed is read again. Nothing of `events` is kept until it is confirmed. */
  send(events: readonly OutgoingEvent[]): Promise<void> {
    return this.#deliver(this.#messageOf(events));
  }

  async #deliver(message: Message): Promise<void> {
    const { positions } = message;
    try {
      await this.#publish(message);
    } catch (error) {
      const failure = error as PublishFailedError;
      if (failure.kind === 'nacked') return this.#holdBack(positions);
      if (mayBeTheEvent(failure)) this.#suspect(positions, failure);
      this.window.giveBack(positions);
    }
  }

  /** Sends one event while no other is on the way. Resolves to false if the events behind it have to be read again. */
  async sendAlone(event: OutgoingEvent): Promise<boolean> {
    while (this.#unanswered > 0) await pause(5);
    try {
      await this.#publish(this.#messageOf([event]));
      return true;
    } catch (error) {
      const failure = error as PublishFailedError;
      if (failure.kind === 'nacked' || (mayBeTheEvent(failure) && !this.#isItsFault(event, failure))) {
        this.#holdBack([event.position]);
      } else {
        if (mayBeTheEvent(failure)) await this.#setAside(event, failure);
        this.window.giveBack([event.position]);
      }
      return false;
    }
  }

  #messageOf(events: readonly OutgoingEvent[]): Message {
    const { id, type, time, traceparent, text } = events[0]!;
    const isBatch = events.length > 1;
    this.window.add(events);
    return {
      positions: events.map(({ position }) => position),
      body: Buffer.from(isBatch ? `[${events.map((event) => event.text).join(',')}]` : text),
      properties: {
        messageId: id,
        type,
        contentType: isBatch ? BATCH_CONTENT_TYPE : EVENT_CONTENT_TYPE,
        contentEncoding: 'utf-8',
        timestamp: Math.floor(Date.parse(time) / 1000),
        appId: this.service,
        ...(traceparent && { headers: { traceparent } }),
      },
    };
  }

  async #publish({ positions, body, properties }: Message): Promise<void> {
    const { type } = properties;
    this.#unanswered++;
    try {
      const answer = this.#publisher.publish(namesOf(this.service).exchange, type, body, properties);
      answer.catch(() => {}); // the failpoint may wait for longer than the broker
      await failpoint('relay.afterPublish');
      if (sabotaged('mark-before-confirm')) this.window.confirmed(positions);
      if ((await answer) === 'unroutable') {
        this.#counts.unroutable += positions.length;
        unroutable.labels(type).inc(positions.length);
      }
    } finally {
      this.#unanswered--;
    }
    this.#counts.published += positions.length;
    published.labels(type).inc(positions.length);
    await failpoint('relay.afterConfirm');
    if (this.#refusals.size > 0) for (const position of positions) this.#refusals.delete(position);
    this.window.confirmed(positions);
  }

  /** A queue is full, or does not work: again after a while. Others may have the message; their gates drop the duplicate. */
  #holdBack(positions: readonly string[]): void {
    this.#counts.nacked += positions.length;
    let most = 0;
    for (const position of positions) {
      const { attempts = 0, published = this.#counts.published } = this.#refusals.get(position) ?? {};
      this.#refusals.set(position, { attempts: attempts + 1, published });
      most = Math.max(most, attempts);
    }
    setTimeout(() => this.window.giveBack(positions), jitter(most, { ceiling: 5_000 })).unref();
    if (most < STUBBORN_REFUSALS || performance.now() - this.#rebuiltAt < REBUILD_EVERY_MS) return;
    this.#rebuiltAt = performance.now();
    this.link.rebuild('a queue has refused events for a while');
  }

  #suspect(positions: readonly string[], failure: PublishFailedError): void {
    this.#carefulUpTo = Math.max(this.#carefulUpTo, ...positions.map(Number));
    this.#maxMessageBytes = Math.min(this.#maxMessageBytes, sizeLimitIn(failure) ?? Infinity);
  }

  /** It says so itself; else only if others have got through since it was refused first. */
  #isItsFault({ position }: OutgoingEvent, failure: PublishFailedError): boolean {
    if (failure.kind === 'unsendable' || sizeLimitIn(failure) !== undefined) return true;
    const refusal = this.#refusals.get(position);
    return refusal !== undefined && this.#counts.published > refusal.published;
  }

  async #setAside({ position, type, subject }: OutgoingEvent, { message }: PublishFailedError): Promise<void> {
    try {
      await setAside(this.pool, position, message);
      this.#counts.unpublishable++;
      this.link.proven(); // that was the trouble
      this.#refusals.delete(position);
      this.#logger.error(`${type} of "${subject}" is set aside, its stream is held until you release it: ${message}`);
    } catch (error) {
      this.#logger.warn(`${type} of "${subject}" cannot be set aside for now: ${(error as Error).message}`);
    }
  }
}

/** Whether the event may be what the broker objects to, and not the service, its rights or the broker's own state. */
function mayBeTheEvent({ kind, cause }: PublishFailedError): boolean {
  if (kind === 'unsendable') return true;
  if (typeof cause?.code !== 'number') return false;
  return !NOT_THE_EVENT.includes(cause.code) || cause.message.includes('access to topic');
}
