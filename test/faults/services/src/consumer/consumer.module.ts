import { BackboneModule } from '@app/service';
import { Module, type DynamicModule, type Type } from '@nestjs/common';
import { isSecondVersion } from '../contracts.js';
import { AuditOnCredited, AuditOnCreditedV2, AuditOnRaised } from './audit.handlers.js';
import { IssueReceiptOnCredited } from './issue-receipt-on-credited.handler.js';
import { lateReactions } from './late.handlers.js';
import {
  RecordOnClosed,
  RecordOnCredited,
  RecordOnCreditedV2,
  RecordOnDebited,
  RecordOnNoted,
  RecordOnRaised,
} from './record.handlers.js';
import { SecondVersionController, SubscriptionsController } from './subscriptions.controller.js';
import { AddToTotalOnCredited, AddToTotalOnDebited } from './totals.handlers.js';

@Module({})
export class ConsumerModule {
  /** @param options.late which of the late reactions there is */
  static of({ receipts, late }: { receipts: boolean; late: string | undefined }): DynamicModule {
    const reactions: Type[] = [
      RecordOnCredited,
      RecordOnDebited,
      RecordOnNoted,
      RecordOnRaised,
      RecordOnClosed,
      AddToTotalOnCredited,
      AddToTotalOnDebited,
      AuditOnCredited,
      AuditOnRaised,
    ];
    if (receipts) reactions.push(IssueReceiptOnCredited);
    if (late) reactions.push(lateReactions[late]!);
    if (isSecondVersion) reactions.push(RecordOnCreditedV2, AuditOnCreditedV2);
    return {
      module: ConsumerModule,
      imports: [BackboneModule],
      controllers: [SubscriptionsController, ...(isSecondVersion ? [SecondVersionController] : [])],
      providers: reactions,
    };
  }
}
