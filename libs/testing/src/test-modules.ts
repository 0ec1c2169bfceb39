// Small services made of the real parts, for tests about how events travel rather than about what a service does.
import { type AnyEventClass, UserRegistered } from '@app/contracts';
import { Database, type Transaction } from '@app/database';
import { Outbox, type Reaction } from '@app/messaging';
import { BackboneModule } from '@app/service';
import { Controller, Injectable, Module, type Type } from '@nestjs/common';
import { EventBus, EventsHandler } from '@nestjs/cqrs';
import { EventPattern, Payload } from '@nestjs/microservices';

/** What a test lets happen when an event arrives. */
export type React<Event> = (event: Event, tx: Transaction) => Promise<unknown>;

/** A service that does nothing but react to `contract`. */
export function reactingService<Event extends object>(
  contract: AnyEventClass & (new (data: never) => Event),
  react: React<Event>,
  { touches }: { touches?: (event: Event) => string[] } = {},
): Type {
  @EventsHandler(contract)
  class TestReaction implements Reaction<Event> {
    touches?: (event: Event) => string[];
    constructor(private readonly database: Database) {
      if (touches) this.touches = touches;
    }
    handle = async (event: Event) => void (await react(event, this.database.tx));
  }
  @Controller()
  class Subscriptions {
    constructor(private readonly reactions: EventBus) {}

    @EventPattern<string>(contract.type)
    async hear(@Payload() event: Event): Promise<void> {
      await this.reactions.publish(event);
    }
  }
  @Module({ imports: [BackboneModule], controllers: [Subscriptions], providers: [TestReaction] })
  class ReactingModule {}
  return ReactingModule;
}

/** Records events in transactions of the test's making: `service.app.get(Teller)`. */
@Injectable()
export class Teller {
  constructor(
    readonly database: Database,
    readonly outbox: Outbox,
  ) {}

  /** Records one event for each of `names`, all of one user, in one transaction. */
  async tell(userId: string, ...names: string[]): Promise<void> {
    await this.database.transaction(async (tx) => {
      for (const name of names) await this.outbox.add(tx, userNamed(userId, name));
    });
  }
}

/** A service that tells what the test wants, as `users`. */
@Module({ imports: [BackboneModule], providers: [Teller] })
export class TellingModule {}

/** An event of one user; `name` tells several of them apart. */
export const userNamed = (userId: string, name: string): UserRegistered =>
  new UserRegistered({ userId, name, email: 'test@example.com' });
