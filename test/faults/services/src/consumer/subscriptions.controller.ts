import { Controller } from '@nestjs/common';
import { EventBus } from '@nestjs/cqrs';
import { EventPattern, Payload } from '@nestjs/microservices';
import { Closed, Credited, CreditedV2, Debited, Noted, Raised } from '../contracts.js';

@Controller()
export class SubscriptionsController {
  constructor(private readonly reactions: EventBus) {}

  @EventPattern<string>(Credited.type)
  credited(@Payload() event: Credited) {
    return this.reactions.publish(event);
  }

  @EventPattern<string>(Debited.type)
  debited(@Payload() event: Debited) {
    return this.reactions.publish(event);
  }

  @EventPattern<string>(Noted.type)
  noted(@Payload() event: Noted) {
    return this.reactions.publish(event);
  }

  @EventPattern<string>(Raised.type)
  raised(@Payload() event: Raised) {
    return this.reactions.publish(event);
  }

  @EventPattern<string>(Closed.type)
  closed(@Payload() event: Closed) {
    return this.reactions.publish(event);
  }
}

/** What the second version listens to besides. */
@Controller()
export class SecondVersionController {
  constructor(private readonly reactions: EventBus) {}

  @EventPattern<string>(CreditedV2.type)
  credited(@Payload() event: CreditedV2) {
    return this.reactions.publish(event);
  }
}
