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
import { MESSAGING_OPTIONS, type MessagingOptions } from './options.js';
import { Outbox } from './outbox/outbox.js';
import { Relay } from './outbox/relay.js';

type MessagingModuleOptions = Pick<FactoryProvider<MessagingOptions>, 'useFactory' | 'inject'>;

/**
 * Everything a service needs to tell and to hear events: `Outbox`, the relay, the inbox as a Nest transport
 * (`app.connectMicroservice({ strategy: app.get(InboxServer) }, { inheritAppConfig: true })`) and an event bus that is
 * awaited.
 */
@Module({})
export class MessagingModule implements OnApplicationBootstrap, BeforeApplicationShutdown, OnApplicationShutdown {
  constructor(
    @Inject(MESSAGING_OPTIONS) private readonly options: MessagingOptions,
    private readonly relay: Relay,
    private readonly replay: ReplayServer,
    private readonly inbox: InboxServer,
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
        ReplayServer,
        InboxServer,
      ],
      exports: [MESSAGING_OPTIONS, Outbox, Relay, InboxServer],
    };
  }

  onApplicationBootstrap(): void {
    if (!this.options.roles.has('relay')) return;
    this.relay.start();
    this.replay.start();
  }

  // Before HTTP closes: from here on the queue keeps what arrives.
  async beforeApplicationShutdown(): Promise<void> {
    await Promise.all([this.inbox.close(), this.replay.stop()]);
  }

  // After the last request: its event may still go out, and is in the outbox in any case.
  async onApplicationShutdown(): Promise<void> {
    await this.relay.stop();
  }
}

/** The stock module with its event bus replaced. */
function awaitedCqrs(): DynamicModule {
  const cqrs = CqrsModule.forRoot();
  return { ...cqrs, providers: [...(cqrs.providers ?? []), { provide: EventBus, useClass: AwaitedEventBus }] };
}
