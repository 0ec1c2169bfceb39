import { DatabaseModule } from '@app/database';
import {
  InboxServer,
  MessagingModule,
  OperationsDatabase,
  Pauses,
  Relay,
  ReplayServer,
  type MessagingRole,
} from '@app/messaging';
import { Module, type OnModuleInit } from '@nestjs/common';
import { ServiceConfig } from './config.js';
import { HealthRegistry, type Health } from './health.js';
import { Idempotency } from './idempotency.js';
import { OpsModule } from './ops.module.js';

/** What a service stands on: its database, its part in the exchange of events, and their health checks. */
@Module({
  imports: [
    DatabaseModule.forRootAsync({
      inject: [ServiceConfig],
      useFactory: ({ service, databaseUrl, databasePoolSize }: ServiceConfig) => ({
        url: databaseUrl,
        applicationName: service,
        poolSize: databasePoolSize,
      }),
    }),
    MessagingModule.forRootAsync({
      inject: [ServiceConfig],
      useFactory: ({ service, rabbitmqUrls, databaseUrl, roles, booksIntervalMs }: ServiceConfig) => ({
        service,
        booksIntervalMs,
        rabbitmqUrls,
        databaseUrl,
        roles: roles as ReadonlySet<string> as ReadonlySet<MessagingRole>,
      }),
    }),
    OpsModule,
  ],
  providers: [Idempotency],
  exports: [Idempotency],
})
export class BackboneModule implements OnModuleInit {
  constructor(
    private readonly config: ServiceConfig,
    private readonly health: HealthRegistry,
    private readonly operations: OperationsDatabase,
    private readonly relay: Relay,
    private readonly inbox: InboxServer,
    private readonly pauses: Pauses,
    private readonly replay: ReplayServer,
  ) {}

  onModuleInit(): void {
    this.health.register('database', async () => {
      await this.operations.ping(); // not in the queue of the requests, which is long when one of them waits for a lock
      return { status: 'up' };
    });
    this.health.register('pauses', () => this.pausesHealth());
    // Without a broker the service goes on working and events wait in the outbox: degraded, not down.
    if (this.config.roles.has('relay')) this.health.register('relay', () => this.relayHealth());
    if (this.config.roles.has('inbox')) this.health.register('inbox', () => this.inboxHealth());
  }

  private pausesHealth(): Health {
    const paused = this.pauses.all;
    if (paused.length === 0) return { status: 'up' };
    return {
      ...degraded(paused.map(({ scope, by, reason }) => `${scope} is paused by ${by}: ${reason}`).join('; ')),
      paused,
    };
  }

  private relayHealth(): Health {
    const { broker, active, inFlight } = this.relay.status;
    const health = brokerHealth(broker, 'events wait in the outbox');
    const replay = brokerHealth(this.replay.status, 'subscribers cannot ask for what they miss');
    return { ...(health.status === 'up' ? replay : health), active, inFlight };
  }

  private inboxHealth(): Health {
    const listening = this.inbox.health.filter(({ subscriptions }) => subscriptions.length > 0);
    const inboxes = listening.map(({ inbox, broker, trouble, held, subscriptions }) => ({
      inbox,
      ...(trouble === undefined ? brokerHealth(broker, 'events wait in the queue') : degraded(`paused: ${trouble}`)),
      ...(held.length > 0 && degraded(held.join('; '))),
      subscriptions,
    }));
    const worst = inboxes.find(({ status }) => status !== 'up');
    return { status: worst?.status ?? 'up', ...(worst?.reason !== undefined && { reason: worst.reason }), inboxes };
  }
}

const degraded = (reason: string): Health => ({ status: 'degraded', reason });

function brokerHealth({ state, reason }: { state: string; reason?: string }, meanwhile: string): Health {
  if (state === 'connected') return { status: 'up' };
  return degraded(`RabbitMQ ${state}${reason ? ` (${reason})` : ''}; ${meanwhile}`);
}
