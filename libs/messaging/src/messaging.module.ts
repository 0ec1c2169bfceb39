import {
  Inject,
  Module,
  type BeforeApplicationShutdown,
  type DynamicModule,
  type FactoryProvider,
  type OnApplicationBootstrap,
  type OnApplicationShutdown,
} from '@nestjs/common';
import { CqrsModule, EventBus } from '@nestjs/cqrs';
import { ReplayServer } from './books/replay-server.js';
import { AwaitedEventBus } from './inbox/awaited-event-bus.js';
import { InboxServer } from './inbox/inbox-server.js';
import { MetricsCollector } from './operations/metrics-collector.js';
import { OperationsDatabase, Pauses } from './operations/pauses.js';
import { ReactionWatch } from './operations/reaction-watch.js';
import { MESSAGING_OPTIONS, type MessagingOptions } from './options.js';
import { Outbox } from './outbox/outbox.js';
import { Relay } from './outbox/relay.js';
import { TimerWorker } from './timers/timer-worker.js';
import { Timers } from './timers/timers.js';

type MessagingModuleOptions = Pick<FactoryProvider<MessagingOptions>, 'useFactory' | 'inject'>;

/**
 * Everything a service needs to tell and to hear events: `Outbox`, the relay, the inbox as a Nest transport
 * (`app.connectMicroservice({ strategy: app.get(InboxServer) }, { inheritAppConfig: true })`) and an event bus that is
 * awaited. Guards, interceptors, pipes and filters are those of the application: the inbox does not see what a microservice that
 * does not inherit them has for itself.
 */
@Module({})
export class MessagingModule implements OnApplicationBootstrap, BeforeApplicationShutdown, OnApplicationShutdown {
  constructor(
    @Inject(MESSAGING_OPTIONS) private readonly options: MessagingOptions,
    private readonly relay: Relay,
    private readonly timers: TimerWorker,
    private readonly replay: ReplayServer,
    private readonly inbox: InboxServer,
    private readonly pauses: Pauses,
  ) {}

  static forRootAsync(options: MessagingModuleOptions): DynamicModule {
    return {
      module: MessagingModule,
      global: true,
      imports: [awaitedCqrs()],
      providers: [
        { provide: MESSAGING_OPTIONS, ...options },
        { provide: AwaitedEventBus, useExisting: EventBus },
        Outbox,
        Relay,
        Timers,
        TimerWorker,
        ReplayServer,
        InboxServer,
        OperationsDatabase,
        Pauses,
        ReactionWatch,
        MetricsCollector,
      ],
      exports: [
        MESSAGING_OPTIONS,
        Outbox,
        Relay,
        Timers,
        TimerWorker,
        ReplayServer,
        InboxServer,
        OperationsDatabase,
        Pauses,
      ],
    };
  }

  async onApplicationBootstrap(): Promise<void> {
    await this.pauses.start();
    for (const change of ['paused', 'resumed'] as const) this.pauses.on(change, () => this.relay.lookEverywhere());
    if (this.options.roles.has('workers')) this.timers.start();
    if (!this.options.roles.has('relay')) return;
    this.relay.start();
    this.replay.start();
  }

  // Before HTTP closes: from here on the queue keeps what arrives.
  async beforeApplicationShutdown(): Promise<void> {
    await Promise.all([this.inbox.close(), this.replay.stop(), this.timers.stop()]);
  }

  // After the last request: its event may still go out, and is in the outbox in any case.
  async onApplicationShutdown(): Promise<void> {
    await Promise.all([this.relay.stop(), this.pauses.stop()]);
  }
}

/** The stock module with its event bus replaced. */
function awaitedCqrs(): DynamicModule {
  const cqrs = CqrsModule.forRoot();
  return { ...cqrs, providers: [...(cqrs.providers ?? []), { provide: EventBus, useClass: AwaitedEventBus }] };
}
