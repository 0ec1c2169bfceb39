// Nest's transport for events: gathers the @EventPattern methods and gives each of the service's inboxes its own.
import { contracts } from '@app/contracts';
import { closePool, connectionSettings, openPool } from '@app/database';
import { Inject, Injectable } from '@nestjs/common';
import { ModuleRef } from '@nestjs/core';
import { Server, type CustomTransportStrategy, type MessageHandler } from '@nestjs/microservices';
import { BOOKS_INTERVAL_MS } from '../books/replay-server.js';
import { OneAtATime } from '../books/one-at-a-time.js';
import { MESSAGING_OPTIONS, namesOf, type MessagingOptions } from '../options.js';
import { Pauses } from '../operations/pauses.js';
import { atMost } from '../rabbitmq/backoff.js';
import { Publisher } from '../rabbitmq/publisher.js';
import { AwaitedEventBus } from './awaited-event-bus.js';
import { FINISH_MS, Inbox } from './inbox.js';
import { STREAMS } from './parked-worker.js';
import { plainMethods } from './plain-methods.js';
import { watchEventLoop } from './watchdog.js';

/** Room for the workers' 30 s. */
const WORKER_STATEMENT_MS = 35_000;

@Injectable()
export class InboxServer extends Server implements CustomTransportStrategy {
  readonly #handlers = new Map<string, MessageHandler>();
  #inboxes: Inbox[] = [];
  #stop: (() => Promise<void>) | undefined;
  #closed: Promise<void> | undefined;

  constructor(
    @Inject(MESSAGING_OPTIONS) private readonly options: MessagingOptions,
    private readonly bus: AwaitedEventBus,
    private readonly pauses: Pauses,
    private readonly moduleRef: ModuleRef,
  ) {
    super();
  }

  /** How each inbox is doing. */
  get health() {
    return this.#inboxes.map(({ health }) => health);
  }

  /** @throws Error if two methods listen to one event: Nest would report success while the second still runs */
  override addHandler(pattern: string, callback: MessageHandler, isEvent = false, extras = {}): void {
    if (isEvent && this.#handlers.has(pattern)) {
      throw new Error(`Two @EventPattern('${pattern}') in one service; keep one, its reactions may be several.`);
    }
    super.addHandler(pattern, callback, isEvent, extras);
    if (isEvent) this.#handlers.set(pattern, callback);
  }

  /** Starts the inboxes, in the background. Reactions must be registered: after `app.init()`. */
  listen(callback: (error?: unknown) => void): void {
    const { roles, service, databaseUrl: url, rabbitmqUrls, booksIntervalMs = BOOKS_INTERVAL_MS } = this.options;
    if (!roles.has('inbox') && !roles.has('workers')) return callback();
    const settings = connectionSettings({ url, applicationName: `${service} inbox` });
    const pool = openPool({ ...settings, max: 4, pipeline: true });
    const inboxes = this.bus.inboxes;
    const workerPool = openPool({
      ...settings,
      application_name: `${service} workers`,
      max: inboxes.length * STREAMS + 2,
      pipeline: true,
      statement_timeout: WORKER_STATEMENT_MS,
      query_timeout: WORKER_STATEMENT_MS + 500,
      idle_in_transaction_session_timeout: WORKER_STATEMENT_MS + 10_000,
    });
    const booksPool = openPool({ ...settings, application_name: `${service} books`, max: 2 });
    const publisher = new Publisher(rabbitmqUrls, service, 'requests');
    const logged = new Set([...contracts.values()].map(({ owner }) => namesOf(owner).source));
    const shared = {
      service,
      rabbitmqUrls,
      pool,
      workerPool,
      booksPool,
      comparing: new OneAtATime(booksPool),
      publisher,
      booksIntervalMs,
      bus: this.bus,
      pauses: this.pauses,
    };
    const isLogged = (source: string) => logged.has(source);
    const plain = plainMethods(this.moduleRef['container']); // protected: no public way leads to what is around all methods
    const handlers = new Map([...this.#handlers].map(([type, handler]) => [type, plain.get(type) ?? handler]));
    this.#inboxes = inboxes.map((name) => new Inbox({ ...shared, name, handlers, isLogged }));
    const unwatch = watchEventLoop();
    if (roles.has('inbox') && this.#handlers.size > 0) publisher.link.start();
    for (const inbox of this.#inboxes) {
      if (roles.has('inbox')) inbox.listen();
      if (roles.has('workers')) inbox.startWorkers();
    }
    this.#stop = async () => {
      const finished = Promise.all(this.#inboxes.map((inbox) => inbox.stop()));
      await atMost(FINISH_MS + 500, finished);
      // Whoever still waits waits for a database that is silent.
      await Promise.all([
        publisher.link.stop(),
        unwatch(),
        ...[pool, workerPool, booksPool].map((it) => closePool(it)),
      ]);
      await finished;
    };
    callback();
  }

  /** Stops to take deliveries, finishes and acknowledges what is being applied, leaves the rest in the queues. */
  close(): Promise<void> {
    this.#closed ??= this.#stop?.() ?? Promise.resolve();
    return this.#closed;
  }

  on(): void {}
  unwrap<T>(): T {
    return this.#inboxes as T;
  }
}
