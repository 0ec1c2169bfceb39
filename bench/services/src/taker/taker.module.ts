import { BackboneModule } from '@app/service';
import { Controller, Module, type DynamicModule, type Type } from '@nestjs/common';
import { EventBus } from '@nestjs/cqrs';
import { EventPattern, Payload } from '@nestjs/microservices';
import { ItemChanged } from '../contracts.js';
import { ProgressController } from '../progress.controller.js';
import { Progress } from '../progress.js';
import { AddOnItemChanged, AddUndeclaredOnItemChanged } from './add-on-item-changed.handler.js';
import { CopyManyOnItemChanged, CopyOnItemChanged } from './copy-on-item-changed.handler.js';

@Controller()
class SubscriptionsController {
  constructor(private readonly reactions: EventBus) {}

  @EventPattern<string>(ItemChanged.type)
  async itemChanged(@Payload() event: ItemChanged): Promise<void> {
    await this.reactions.publish(event);
  }
}

const reactions: Record<string, Type> = {
  many: CopyManyOnItemChanged,
  one: CopyOnItemChanged,
  shared: AddOnItemChanged,
  undeclared: AddUndeclaredOnItemChanged,
};

@Module({})
export class TakerModule {
  /** @param reaction how it reacts: `many`, `one`, `shared`, `undeclared` */
  static with(reaction = 'many'): DynamicModule {
    const chosen = reactions[reaction];
    if (!chosen) throw new Error(`BENCH_REACTION: there is no reaction "${reaction}"`);
    return {
      module: TakerModule,
      imports: [BackboneModule],
      controllers: [SubscriptionsController, ProgressController],
      providers: [chosen, Progress],
    };
  }
}
