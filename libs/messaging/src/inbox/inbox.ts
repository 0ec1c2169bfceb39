// One inbox: takes deliveries from its queue, applies them in batches and acknowledges what is committed. A crash before
// the acknowledgement brings the events again; the gate drops what was applied.
import { sabotaged } from '@app/context';
import { isDatabaseUnavailable } from '@app/database';
import { Logger } from '@nestjs/common';
import type { Channel, ConsumeMessage } from 'amqplib';
import type { Pool } from 'pg';
import { Books } from '../books/books.js';
import { Holds } from '../books/holds.js';
import type { Statements } from '../books/one-at-a-time.js';
import { failpoint } from '../failpoints.js';
import { inboxNamesOf } from '../options.js';
import { atMost, backOff, pause } from '../rabbitmq/backoff.js';
import { BrokerLink } from '../rabbitmq/broker-link.js';
import type { Publisher } from '../rabbitmq/publisher.js';
import { declareInbox } from '../rabbitmq/topology.js';
import { checkConsumers } from '../rabbitmq/watch.js';
import type { Pauses } from '../operations/pauses.js';
import { Acknowledgements } from './acknowledgements.js';
import { Applier } from './applier.js';
import type { AwaitedEventBus, InboxName } from './awaited-event-bus.js';
import { CrashGuard } from './crash-guard.js';
import { takeDeliveries, type Delivery } from './delivery.js';
import { forgetOld } from './foreign-events.js';
import { describe, type Failure, type Item } from './item.js';
import type { UnreadableEvent } from '../cloud-event.js';
import { admitReactions, UndeclaredReactionError } from './new-reactions.js';
import { Pace } from './pace.js';
import { ParkedWorker } from './parked-worker.js';
import { parkUnreadable } from './parked-events.js';
import { Router, type Handlers } from './router.js';

/** Messages (of up to 100 events, 128 KiB) that wait in this process at most. */
const PREFETCH = 300;
/** What is being applied when the process is to end has this long. */
export const FINISH_MS = 3_500;
/** A live reaction that takes longer is parked and run by the workers, so that it cannot hold up the others. */
const LIVE_LIMIT_MS = 2_000;

interface InboxOptions {
  service: string;
  name: InboxName;
  rabbitmqUrls: readonly string[];
  /** Pipelined, for live events. */
  pool: Pool;
  /** For parked events, with more time. */
  workerPool: Pool;
  /** For everything around them; never waits for a reaction. */
  booksPool: Pool;
  /** For the books, of all inboxes. */
  comparing: Statements;
  publisher: Publisher;
  bus: AwaitedEventBus;
  handlers: Handlers;
  isLogged: (source: string) => boolean;
  booksIntervalMs: number;
  pauses: Pauses;
}

export class Inbox {
  readonly #logger = new Logger('Inbox');
  readonly #names: ReturnType<typeof inboxNamesOf>;
  /** Its name where things are paused. */
  readonly #scope: string;
  readonly #router: Router;
  readonly #holds: Holds;
  readonly #books: Books;
  readonly #applier: Applier;
  readonly #guard: CrashGuard;
  readonly #pace = new Pace();
  readonly #acknowledgements = new Acknowledgements();
  readonly #worker: ParkedWorker;
  readonly #link: BrokerLink;
  readonly #stopping = new AbortController();
  readonly #deadline = new AbortController();
  #buffer: ConsumeMessage[] = [];
  /** Already read, next to be applied. */
  #ahead: Delivery[] = [];
  #tags: { channel: Channel; tags: string[] } | undefined;
  #working: Promise<void> | undefined;
  #watching: Promise<void> | undefined;
  #trouble: string | undefined;
  #forgetAt = 0;
  readonly #onPaused = (scope: string) => {
    if (scope !== this.#scope) return;
    this.#forget();
    void this.#reconnect('paused by an operator');
  };

  constructor(private readonly options: InboxOptions) {
    const { service, name, pool, workerPool, booksPool, publisher, bus, handlers, booksIntervalMs } = options;
    this.#names = inboxNamesOf(service, name.name);
    const { inbox, queue } = this.#names;
    this.#scope = `inbox:${inbox}`;
    this.#router = new Router(handlers, bus, name);
    this.#holds = new Holds(inbox, booksPool);
    const aggregates = this.#router.aggregates;
    this.#books = new Books(
      { inbox, queue, aggregates, intervalMs: booksIntervalMs },
      options.comparing,
      publisher,
      this.#holds,
    );
    const isCatchingUp = this.#books.isCatchingUp.bind(this.#books);
    const deadline = this.#deadline.signal;
    const applierOptions = { inbox, name, router: this.#router, holds: this.#holds, isCatchingUp, deadline };
    // While the database works on a batch, the next one is read.
    this.#applier = new Applier(pool, { ...applierOptions, meanwhile: () => (this.#ahead = this.#take()) });
    this.#guard = new CrashGuard(inbox, booksPool, this.#applier, LIVE_LIMIT_MS);
    const patient = new Applier(workerPool, applierOptions);
    this.#worker = new ParkedWorker(inbox, workerPool, patient, this.#holds, () => this.#admit());
    this.#link = new BrokerLink({
      urls: options.rabbitmqUrls,
      service,
      purpose: name.name ? `consumer ${name.name}` : 'consumer',
      open: (model) => model.createChannel(),
      setUp: (channel) => this.#consume(channel),
    });
  }

  /** How it is doing: its connection, why it does not work if it does not, and the state of its books. */
  get health() {
    return {
      inbox: this.#names.inbox,
      broker: this.#link.status,
      trouble: this.#trouble,
      held: [...this.#holds.all.values()],
      subscriptions: this.#router.types,
      books: this.#books.status,
    };
  }

  /** Starts to listen, in the background: a broker that is away does not keep the service from starting. */
  listen(): void {
    if (this.#router.types.length === 0) return;
    this.options.pauses.on('paused', this.#onPaused);
    this.#link.start();
    this.#watching ??= this.#watch();
  }

  startWorkers(): void {
    this.#worker.start();
  }

  /** Stops to take deliveries, finishes and acknowledges what is being applied, leaves the rest in the queue. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    this.options.pauses.off('paused', this.#onPaused);
    this.#forget();
    const timer = setTimeout(() => this.#deadline.abort(), FINISH_MS);
    const { channel, tags = [] } = this.#tags ?? {};
    const cancelled = Promise.all(tags.map((tag) => channel!.cancel(tag).catch(() => {})));
    await Promise.all([atMost(1_000, cancelled), this.#working, this.#worker.stop()]);
    clearTimeout(timer);
    this.#acknowledgements.flush();
    await this.#closeChannel();
    await this.#link.stop();
    await atMost(500, Promise.all([this.#watching, this.#books.settled()])); // they may wait for an answer that never comes
  }

  /** Lets go of what was delivered and is not acknowledged. */
  async #reconnect(reason: string): Promise<void> {
    const before = this.#tags;
    await this.#closeChannel();
    if (this.#tags === before) this.#link.rebuild(reason); // else it has been, meanwhile
  }

  /** Behind the last acknowledgement; the end of the connection travels on another channel and may overtake it. */
  async #closeChannel(): Promise<void> {
    await atMost(
      1_000,
      this.#tags?.channel.close().catch(() => {}),
    );
  }

  async #consume(channel: Channel): Promise<void> {
    // What is still being applied came through the old channel; it must end before its redelivery begins.
    this.#forget();
    this.#books.reset();
    await this.#working;
    const closed = new AbortController();
    channel.once('close', () => closed.abort());
    const signal = AbortSignal.any([this.#stopping.signal, closed.signal]);
    await this.#untilReady(signal);
    if (signal.aborted) return;
    const { queue, dead } = this.#names;
    if (sabotaged('ask-before-bind')) await this.#look(true);
    await declareInbox(channel, this.#names, this.#router.aggregates);
    await channel.prefetch(PREFETCH);
    const receive = (message: ConsumeMessage | null) =>
      message ? this.#receive(channel, message) : this.#link.rebuild('the queue was deleted or moved');
    const tag = BrokerLink.tag(this.options.service);
    const consumers = [
      await channel.consume(queue, receive, { consumerTag: tag, noAck: sabotaged('automatic-ack') }),
      await channel.consume(dead, receive, { consumerTag: `${tag} dead letters` }),
    ];
    this.#tags = { channel, tags: consumers.map(({ consumerTag }) => consumerTag) };
    if (!sabotaged('ask-before-bind')) void this.#look(true);
  }

  #receive(channel: Channel, message: ConsumeMessage): void {
    if (this.#stopping.signal.aborted) return; // goes back to the queue when the channel closes
    this.#buffer.push(message);
    this.#working ??= this.#work(channel).finally(() => (this.#working = undefined));
  }

  /** Applies what has arrived, batch by batch; never waits to fill one. */
  async #work(channel: Channel): Promise<void> {
    await new Promise(setImmediate); // deliveries that came in one read of the socket belong together
    for (let deliveries = this.#take(); deliveries.length > 0; deliveries = this.#take()) {
      try {
        if (sabotaged('ack-before-commit')) channel.ack(deliveries.at(-1)!.message, true);
        const rest = await this.#apply(deliveries);
        await failpoint('inbox.afterCommit');
        this.#trouble = undefined;
        if (!sabotaged('ack-before-commit') && !sabotaged('automatic-ack'))
          this.#acknowledgements.add(channel, deliveries.at(-1)!.message, deliveries.length);
        if (rest > 0) await pause(rest, this.#stopping.signal);
      } catch (error) {
        // Nothing is lost: unacknowledged deliveries come again.
        this.#trouble = (error as Error).message;
        this.#logger.error(`paused: ${describe(error)}`);
        this.#forget();
        void this.#reconnect('the inbox is paused');
        return;
      }
    }
  }

  #take(): Delivery[] {
    if (this.#ahead.length === 0)
      return takeDeliveries(this.#buffer, this.#pace.batchSize, this.options.isLogged, this.#names.dead);
    const taken = this.#ahead;
    this.#ahead = [];
    return taken;
  }

  /** What is not being applied yet: it is not acknowledged, so it comes again. */
  #forget(): void {
    this.#acknowledgements.flush();
    this.#buffer = [];
    this.#ahead = [];
  }

  /** Resolves to how long to rest behind it, in ms. */
  async #apply(deliveries: readonly Delivery[]): Promise<number> {
    for (const { message, unreadable } of deliveries) {
      for (const event of unreadable) await this.#setAside(message, event);
    }
    const items = deliveries.flatMap((delivery) => delivery.items);
    const rest = items.length > 0 ? await this.#applyBatch(items, deliveries) : 0;
    for (const delivery of deliveries) this.#books.take(delivery);
    return rest;
  }

  async #applyBatch(items: Item[], deliveries: readonly Delivery[]): Promise<number> {
    const started = performance.now();
    if (deliveries[0]?.suspect) await this.#guard.apply(items);
    else await this.#applier.apply(items, LIVE_LIMIT_MS, givenUp(deliveries));
    return this.#pace.applied(items, performance.now() - started);
  }

  async #setAside({ properties, fields }: ConsumeMessage, { content, reason }: UnreadableEvent): Promise<void> {
    this.#logger.error(`a message from "${fields.exchange}" (${fields.routingKey}) is set aside: ${reason}`);
    const about = { exchange: fields.exchange, routingKey: fields.routingKey, ...properties };
    await parkUnreadable(this.options.pool, this.#names.inbox, { content, headers: about, reason });
  }

  /** Once an hour. */
  async #forgetForeign(): Promise<void> {
    if (performance.now() < this.#forgetAt) return;
    this.#forgetAt = performance.now() + 3_600_000;
    await forgetOld(this.options.booksPool, this.#names.inbox);
  }

  #admit(): Promise<void> {
    return admitReactions(this.options.booksPool, this.#names.inbox, this.#router.reactions);
  }

  /** Until the database answers and admits the reactions. */
  async #untilReady(signal: AbortSignal): Promise<void> {
    for (let failures = 0; !signal.aborted; failures++) {
      try {
        await this.#holds.refresh();
        await this.#admit();
        this.#trouble = this.options.pauses.isPaused(this.#scope);
        await this.options.pauses.untilResumed(this.#scope, signal);
        this.#trouble = undefined;
        return;
      } catch (error) {
        if (this.#trouble !== (error as Error).message)
          this.#logger.error(`does not start: ${(error as Error).message}`);
        this.#trouble = (error as Error).message;
        const wait = error instanceof UndeclaredReactionError || !isDatabaseUnavailable(error) ? 10_000 : 2_000;
        await backOff(failures, { ceiling: wait, signal });
      }
    }
  }

  /** Every now and then: is the queue still there and bound, does it still know us, do the books balance? */
  async #watch(): Promise<void> {
    const interval = Math.min(8_000, this.options.booksIntervalMs);
    while (!this.#stopping.signal.aborted) {
      await pause(interval * (0.8 + Math.random() * 0.4), this.#stopping.signal);
      if (this.#stopping.signal.aborted) return;
      if (this.options.pauses.isPaused(this.#scope)) continue;
      const declare = (channel: Channel) => declareInbox(channel, this.#names, this.#router.aggregates);
      await checkConsumers(this.#link, declare, this.#stopping.signal);
      if (!sabotaged('ask-before-bind')) await this.#look(false);
    }
  }

  async #look(now: boolean): Promise<void> {
    try {
      await this.#holds.refresh();
      await this.#books.look(now);
      await this.#forgetForeign();
    } catch (error) {
      this.#logger.warn(`cannot look at the books: ${(error as Error).message}`);
    }
  }
}

/** Events that crashed their consumer too often for the broker: parked, and tried again by the workers, with care. */
function givenUp(deliveries: readonly Delivery[]): Map<Item, Failure> {
  const error = 'the broker gave up on it: its consumer crashed, or closed its channel, too often';
  const items = deliveries.filter((delivery) => delivery.givenUp).flatMap((delivery) => delivery.items);
  return new Map(items.map((item) => [item, { state: 'retry', error, counts: false }]));
}
