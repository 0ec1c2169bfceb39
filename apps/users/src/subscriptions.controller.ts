import { OrderCancelled, OrderConfirmed, OrderPlaced } from '@app/contracts';
import { Controller } from '@nestjs/common';
import { EventBus } from '@nestjs/cqrs';
import { EventPattern, Payload } from '@nestjs/microservices';
import { ApiExcludeController } from '@nestjs/swagger';

/** Everything this service listens to. Each event goes to its reactions, and is acknowledged when they have committed. */
@ApiExcludeController()
@Controller()
export class SubscriptionsController {
  constructor(private readonly reactions: EventBus) {}

  @EventPattern<string>(OrderPlaced.type)
  async orderPlaced(@Payload() event: OrderPlaced): Promise<void> {
    await this.reactions.publish(event);
  }

  @EventPattern<string>(OrderConfirmed.type)
  async orderConfirmed(@Payload() event: OrderConfirmed): Promise<void> {
    await this.reactions.publish(event);
  }

  @EventPattern<string>(OrderCancelled.type)
  async orderCancelled(@Payload() event: OrderCancelled): Promise<void> {
    await this.reactions.publish(event);
  }
}
