import { Controller } from '@nestjs/common';
import { EventBus } from '@nestjs/cqrs';
import { EventPattern, Payload } from '@nestjs/microservices';
import { Closed, Credited, CreditedV2, Debited, Noted, Raised } from '../contracts.js';

@Controller()
export class SubscriptionsController {
  constructor(private readonly reactions: EventBus) {}

  @EventPattern<string>(Credited.type)
  async credited(@Payload() event: Credited): Promise<void> {
    await this.reactions.publish(event);
  }

  @EventPattern<string>(Debited.type)
  async debited(@Payload() event: Debited): Promise<void> {
    await this.reactions.publish(event);
  }

  @EventPattern<string>(Noted.type)
  async noted(@Payload() event: Noted): Promise<void> {
    await this.reactions.publish(event);
  }

  @EventPattern<string>(Raised.type)
  async raised(@Payload() event: Raised): Promise<void> {
    await this.reactions.publish(event);
  }

  @EventPattern<string>(Closed.type)
  async closed(@Payload() event: Closed): Promise<void> {
    await this.reactions.publish(event);
  }
}

/** What the second version listens to besides. */
@Controller()
export class SecondVersionController {
  constructor(private readonly reactions: EventBus) {}

  @EventPattern<string>(CreditedV2.type)
  async credited(@Payload() event: CreditedV2): Promise<void> {
    await this.reactions.publish(event);
  }
}
