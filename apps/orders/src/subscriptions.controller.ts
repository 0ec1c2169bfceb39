import {
  OrderDeadlinePassed,
  UserDeactivated,
  UserProfileChanged,
  UserRegistered,
  UserTierChanged,
} from '@app/contracts';
import { Controller } from '@nestjs/common';
import { EventBus } from '@nestjs/cqrs';
import { EventPattern, Payload } from '@nestjs/microservices';

/** Everything this service listens to. Each event goes to its reactions, and is acknowledged when they have committed. */
@Controller()
export class SubscriptionsController {
  constructor(private readonly reactions: EventBus) {}

  @EventPattern<string>(UserRegistered.type)
  async userRegistered(@Payload() event: UserRegistered): Promise<void> {
    await this.reactions.publish(event);
  }

  @EventPattern<string>(UserProfileChanged.type)
  async userProfileChanged(@Payload() event: UserProfileChanged): Promise<void> {
    await this.reactions.publish(event);
  }

  @EventPattern<string>(UserTierChanged.type)
  async userTierChanged(@Payload() event: UserTierChanged): Promise<void> {
    await this.reactions.publish(event);
  }

  @EventPattern<string>(UserDeactivated.type)
  async userDeactivated(@Payload() event: UserDeactivated): Promise<void> {
    await this.reactions.publish(event);
  }

  @EventPattern<string>(OrderDeadlinePassed.type)
  async orderDeadlinePassed(@Payload() event: OrderDeadlinePassed): Promise<void> {
    await this.reactions.publish(event);
  }
}
