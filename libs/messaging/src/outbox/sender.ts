// Sends events to the broker and deals with its answers. After a channel error, events go one by one, until the one that
// closes the channel all by itself is found and set aside. An outage never uses up attempts.
import { sabotaged } from '@app/context';
import { Logger } from '@nestjs/common';
import type { Pool } from 'pg';
import { BATCH_CONTENT_TYPE, EVENT_CONTENT_TYPE } from '../cloud-event.js';
import { failpoint } from '../failpoints.js';
import { published, unroutable } from '../operations/metrics.js';
import { namesOf } from '../options.js';
import { jitter, pause } from '../rabbitmq/backoff.js';
import { Publisher, PublishFailedError } from '../rabbitmq/publisher.js';
import type { OutgoingEvent } from './outbox-reader.js';
import { setAside } from './unpublishable.js';
import { MAX_MESSAGE_BYTES } from './wire-batches.js';
import type { Window } from './window.js';

/** What the broker says of the service as a whole, or of itself: 320 forced, 403 refused, 404 no exchange, 530 vhost. */
const NOT_THE_EVENT = [320, 403, 404, 530];
/**
 * A channel may go on refusing for a queue that has long had room again (3.10, when a length limit is taken away while
 * nobody consumes): after so many refusals, some 10 s, a new one is tried. Measured: never without it, 11 s with it.
 */
const STUBBORN_REFUSALS = 8;
const REBUILD_EVERY_MS = 20_000;
const TOO_LARGE = /message size \d+ is larger than \D*(\d+)/;

export class Sender {
  readonly #logger = new Logger('Relay');
  readonly #publisher: Publisher;
  /** Events that were refused: how often, and how much had been published by then. */
  readonly #refusals = new Map<string, { attempts: number; published: number }>();
  readonly #counts = { published: 0, unroutable: 0, nacked: 0, unpublishable: 0 };
  /** Up to this position there may be events that close the channel. */
  #carefulUpTo = 0;
  #rebuiltAt = 0;
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

  /** Sends one message; never rejects. What is not confirmed is read again. */
  async send(events: OutgoingEvent[]): Promise<void> {
    try {
      await this.#publish(events);
    } catch (error) {
      const failure = error as PublishFailedError;
      if (failure.kind === 'nacked') return this.#holdBack(events);
      if (mayBeTheEvent(failure)) this.#suspect(events, failure);
      this.window.giveBack(events.map(({ position }) => position));
    }
  }

  /** Sends one event while no other is on the way. Resolves to false if the events behind it have to be read again. */
  async sendAlone(event: OutgoingEvent): Promise<boolean> {
    while (this.#unanswered > 0) await pause(5);
    try {
      await this.#publish([event]);
      return true;
    } catch (error) {
      const failure = error as PublishFailedError;
      if (failure.kind === 'nacked' || (mayBeTheEvent(failure) && !this.#isItsFault(event, failure))) {
        this.#holdBack([event]);
      } else {
        if (mayBeTheEvent(failure)) await this.#setAside(event, failure);
        this.window.giveBack([event.position]);
      }
      return false;
    }
  }

  async #publish(events: OutgoingEvent[]): Promise<void> {
    const first = events[0]!;
    const isBatch = events.length > 1;
    const body = Buffer.from(isBatch ? `[${events.map(({ text }) => text).join(',')}]` : first.text);
    this.window.add(events);
    this.#unanswered++;
    try {
      const answer = this.#publisher.publish(namesOf(this.service).exchange, first.type, body, {
        messageId: first.id,
        type: first.type,
        contentType: isBatch ? BATCH_CONTENT_TYPE : EVENT_CONTENT_TYPE,
        contentEncoding: 'utf-8',
        timestamp: Math.floor(first.recorded_at.getTime() / 1000),
        appId: this.service,
        ...(first.traceparent && { headers: { traceparent: first.traceparent } }),
      });
      answer.catch(() => {}); // the failpoint may wait for longer than the broker
      await failpoint('relay.afterPublish');
      if (sabotaged('mark-before-confirm')) this.window.confirmed(events.map(({ position }) => position));
      if ((await answer) === 'unroutable') {
        this.#counts.unroutable += events.length;
        unroutable.labels(first.type).inc(events.length);
      }
    } finally {
      this.#unanswered--;
    }
    this.#counts.published += events.length;
    published.labels(first.type).inc(events.length);
    await failpoint('relay.afterConfirm');
    const positions = events.map(({ position }) => position);
    if (this.#refusals.size > 0) for (const position of positions) this.#refusals.delete(position);
    this.window.confirmed(positions);
  }

  /** A queue is full, or does not work: again after a while. Others may have the message; their gates drop the duplicate. */
  #holdBack(events: OutgoingEvent[]): void {
    this.#counts.nacked += events.length;
    const positions = events.map(({ position }) => position);
    let most = 0;
    for (const position of positions) {
      const { attempts = 0, published = this.#counts.published } = this.#refusals.get(position) ?? {};
      this.#refusals.set(position, { attempts: attempts + 1, published });
      most = Math.max(most, attempts);
    }
    setTimeout(() => this.window.giveBack(positions), jitter(most, { ceiling: 5_000 })).unref();
    if (most < STUBBORN_REFUSALS || Date.now() - this.#rebuiltAt < REBUILD_EVERY_MS) return;
    this.#rebuiltAt = Date.now();
    this.link.rebuild('a queue has refused events for a while');
  }

  #suspect(events: OutgoingEvent[], { cause }: PublishFailedError): void {
    this.#carefulUpTo = Math.max(this.#carefulUpTo, ...events.map(({ position }) => Number(position)));
    const limit = TOO_LARGE.exec(cause?.message ?? '')?.[1];
    if (limit) this.#maxMessageBytes = Math.min(this.#maxMessageBytes, Number(limit));
  }

  /** It says so itself; else only if others have got through since it was refused first. */
  #isItsFault({ position }: OutgoingEvent, { kind, cause }: PublishFailedError): boolean {
    if (kind === 'unsendable' || TOO_LARGE.test(cause?.message ?? '')) return true;
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
