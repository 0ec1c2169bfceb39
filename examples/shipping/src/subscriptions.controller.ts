import { OrderConfirmed } from '@app/contracts';
import { Controller } from '@nestjs/common';
import { EventBus } from '@nestjs/cqrs';
import { EventPattern, Payload } from '@nestjs/microservices';

/** Everything this service listens to. */
@Controller()
export class SubscriptionsController {
  constructor(private readonly reactions: EventBus) {}

  @EventPattern<string>(OrderConfirmed.type)
  async orderConfirmed(@Payload() event: OrderConfirmed): Promise<void> {
    await this.reactions.publish(event);
  }
}
