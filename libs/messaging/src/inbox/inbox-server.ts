// Nest's transport for events. Takes deliveries from the service's queue, applies them in batches and acknowledges what
// is committed. A crash before the acknowledgement brings the events again; the gate drops what was applied.
import { Inject, Injectable } from '@nestjs/common';
import { Server, type CustomTransportStrategy, type MessageHandler } from '@nestjs/microservices';
import { connectionSettings, isDatabaseUnavailable, openPool } from '@app/database';
import { contracts, parseEventType } from '@app/contracts';
import { IllegalOperationError, type Channel, type ConsumeMessage } from 'amqplib';
import type { Pool } from 'pg';
import { MESSAGING_OPTIONS, namesOf, ownerOf, type MessagingOptions } from '../options.js';
import { backOff } from '../rabbitmq/backoff.js';
import { BrokerLink } from '../rabbitmq/broker-link.js';
import { declareInbox } from '../rabbitmq/topology.js';
import { Applier } from './applier.js';
import { AwaitedEventBus } from './awaited-event-bus.js';
import { describe } from './item.js';
import { ParkedWorker } from './parked-worker.js';
import { Router } from './router.js';
import { takeDeliveries, type Delivery } from './delivery.js';
import { parkUnreadable } from './parked-events.js';

/** Messages (of up to 100 events, 128 KiB) that wait in this process at most. */
const PREFETCH = 300;
/** Events in one transaction at most, and the time it should take. */
const MAX_BATCH = 500;
const TARGET_BATCH_MS = 100;
/** A live reaction that takes longer is parked and run by the workers, so that it cannot hold up the others. */
const LIVE_LIMIT_MS = 2_000;
/** Room for the workers' 30 s. */
const WORKER_STATEMENT_MS = 35_000;

@Injectable()
export class InboxServer extends Server implements CustomTransportStrategy {
  readonly #router: Router;
  readonly #pool: Pool;
  readonly #workerPool: Pool;
  readonly #applier: Applier;
  readonly #worker: ParkedWorker;
  readonly #link: BrokerLink;
  readonly #stopping = new AbortController();
  readonly #logged: ReadonlySet<string>;
  #buffer: ConsumeMessage[] = [];
  #consuming: { channel: Channel; tag: string } | undefined;
  #working: Promise<void> | undefined;
  #batchSize = 50;
  #closed: Promise<void> | undefined;
  #trouble: string | undefined;

  constructor(
    @Inject(MESSAGING_OPTIONS) private readonly options: MessagingOptions,
    bus: AwaitedEventBus,
  ) {
    super();
    const { service, databaseUrl: url } = options;
    this.#router = new Router(bus);
    this.#logged = new Set([...contracts.values()].map(({ owner }) => namesOf(owner).source));
    const settings = connectionSettings({ url, applicationName: `${service} inbox` });
    this.#pool = openPool({ ...settings, max: 2, pipeline: true } as never);
    this.#workerPool = openPool({
      ...settings,
      application_name: `${service} workers`,
      max: 6,
      statement_timeout: WORKER_STATEMENT_MS,
      query_timeout: WORKER_STATEMENT_MS + 500,
    });
    this.#applier = new Applier(service, this.#pool, this.#router);
    this.#worker = new ParkedWorker(service, this.#workerPool, new Applier(service, this.#workerPool, this.#router));
    this.#link = new BrokerLink({
      urls: options.rabbitmqUrls,
      service,
      purpose: 'consumer',
      open: (model) => model.createChannel(),
      setUp: (channel) => this.#consume(channel),
    });
  }

  /** How the inbox is doing: its connection, and why it does not work if it does not. */
  get health() {
    return { broker: this.#link.status, trouble: this.#trouble, subscriptions: this.#router.types };
  }

  /** One @EventPattern per event: Nest's own chain of several would report success while the second still runs. */
  override addHandler(pattern: string, callback: MessageHandler, isEvent = false, extras = {}): void {
    super.addHandler(pattern, callback, isEvent, extras);
    if (isEvent) this.#router.add(pattern, callback);
  }

  /** Starts to listen, in the background: a broker that is away does not keep the service from starting. */
  listen(callback: (error?: unknown) => void): void {
    if (this.options.roles.has('inbox') && this.#router.types.length > 0) this.#link.start();
    if (this.options.roles.has('workers')) this.#worker.start();
    callback();
  }

  /** Stops to take deliveries, finishes and acknowledges what is being applied, leaves the rest in the queue. */
  close(): Promise<void> {
    this.#closed ??= this.#drain();
    return this.#closed;
  }

  on(): void {}
  unwrap<T>(): T {
    return this.#link as T;
  }

  async #drain(): Promise<void> {
    this.#stopping.abort();
    this.#buffer = [];
    const { channel, tag } = this.#consuming ?? {};
    if (channel && tag) await channel.cancel(tag).catch(() => {});
    await Promise.all([this.#working, this.#worker.stop()]);
    await this.#link.stop();
    await Promise.all([this.#pool.end(), this.#workerPool.end()]);
  }

  async #consume(channel: Channel): Promise<void> {
    const { service } = this.options;
    // What is still being applied came through the old channel; it must end before its redelivery begins.
    this.#buffer = [];
    await this.#working;
    await this.#untilDatabaseAnswers();
    const aggregates = new Set(this.#router.types.flatMap((type) => parseEventType(type)?.aggregate ?? []));
    await declareInbox(channel, service, [...aggregates]);
    await channel.prefetch(PREFETCH);
    const { consumerTag } = await channel.consume(
      namesOf(service).inbox,
      (message) => (message ? this.#receive(channel, message) : this.#link.rebuild('the queue was deleted or moved')),
      { consumerTag: BrokerLink.tag(service) },
    );
    this.#consuming = { channel, tag: consumerTag };
  }

  #receive(channel: Channel, message: ConsumeMessage): void {
    if (this.#stopping.signal.aborted) return; // goes back to the queue when the channel closes
    this.#buffer.push(message);
    this.#working ??= this.#work(channel).finally(() => (this.#working = undefined));
  }

  /** Applies what has arrived, batch by batch; never waits to fill one. */
  async #work(channel: Channel): Promise<void> {
    // Deliveries that came in one read of the socket belong together.
    await new Promise(setImmediate);
    while (this.#buffer.length > 0) {
      const deliveries = takeDeliveries(this.#buffer, this.#batchSize, (source) => this.#logged.has(source));
      try {
        await this.#apply(deliveries);
        acknowledge(channel, deliveries);
      } catch (error) {
        // Nothing is lost: unacknowledged deliveries come again.
        this.#trouble = (error as Error).message;
        this.logger.error(`paused: ${describe(error)}`);
        this.#buffer = [];
        this.#link.rebuild('the inbox is paused');
        return;
      }
    }
  }

  async #apply(deliveries: readonly Delivery[]): Promise<void> {
    const started = performance.now();
    for (const { message, unreadable } of deliveries) {
      if (unreadable !== undefined) await this.#setAside(message, unreadable);
    }
    const items = deliveries.flatMap((delivery) => delivery.items);
    if (items.length === 0) return;
    await this.#applier.apply(items, LIVE_LIMIT_MS);
    const perEvent = (performance.now() - started) / items.length;
    this.#batchSize = Math.min(MAX_BATCH, Math.max(1, Math.ceil(TARGET_BATCH_MS / perEvent), 1));
    this.#trouble = undefined;
  }

  async #setAside({ content, properties, fields }: ConsumeMessage, reason: string): Promise<void> {
    this.logger.error(`a message from "${fields.exchange}" (${fields.routingKey}) is set aside: ${reason}`);
    const { headers, contentType, messageId, appId, type } = properties;
    const about = { exchange: fields.exchange, routingKey: fields.routingKey, contentType, messageId, appId, type, headers };
    await parkUnreadable(this.#pool, this.options.service, { content, headers: about, reason });
  }

  async #untilDatabaseAnswers(): Promise<void> {
    for (let failures = 0; !this.#stopping.signal.aborted; failures++) {
      try {
        await this.#pool.query('select 1');
        return;
      } catch (error) {
        this.#trouble = (error as Error).message;
        if (!isDatabaseUnavailable(error)) throw error;
        await backOff(failures, { ceiling: 2_000, signal: this.#stopping.signal });
      }
    }
  }
}

function acknowledge(channel: Channel, deliveries: readonly Delivery[]): void {
  try {
    channel.ack(deliveries.at(-1)!.message, true);
  } catch (error) {
    if (!(error instanceof IllegalOperationError)) throw error; // the channel is gone: they come again, as duplicates
  }
}
