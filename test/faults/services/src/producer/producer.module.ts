import { BackboneModule } from '@app/service';
import { Controller, Module } from '@nestjs/common';
import { EventBus } from '@nestjs/cqrs';
import { EventPattern, Payload } from '@nestjs/microservices';
import { ReceiptIssued } from '../contracts.js';
import { NoteReceiptOnReceiptIssued } from './note-receipt-on-receipt-issued.handler.js';
import { RunCommandController } from './run-command.controller.js';
import { RunCommandHandler } from './run-command.handler.js';

@Controller()
class SubscriptionsController {
  constructor(private readonly reactions: EventBus) {}

  @EventPattern<string>(ReceiptIssued.type)
  async receiptIssued(@Payload() event: ReceiptIssued): Promise<void> {
    await this.reactions.publish(event);
  }
}

@Module({
  imports: [BackboneModule],
  controllers: [RunCommandController, SubscriptionsController],
  providers: [RunCommandHandler, NoteReceiptOnReceiptIssued],
})
export class ProducerModule {}
