import { Database } from '@app/database';
import type { Reaction } from '@app/messaging';
import { EventsHandler } from '@nestjs/cqrs';
import { ReceiptIssued } from '../contracts.js';
import { writeEffect } from '../effect.js';
import type { FaultsTables } from '../tables.js';

/** Reads, modifies and writes a row that commands write at the same time. */
@EventsHandler(ReceiptIssued)
export class NoteReceiptOnReceiptIssued implements Reaction<ReceiptIssued> {
  constructor(private readonly database: Database<FaultsTables>) {}

  touches = ({ accountId }: ReceiptIssued) => [`account:${accountId}`];

  async handle({ accountId }: ReceiptIssued): Promise<void> {
    const { tx } = this.database;
    const { receipts } = await tx
      .selectFrom('accounts')
      .where('id', '=', accountId)
      .select('receipts')
      .forUpdate()
      .executeTakeFirstOrThrow();
    await tx
      .updateTable('accounts')
      .set({ receipts: Number(receipts) + 1 })
      .where('id', '=', accountId)
      .execute();
    await writeEffect(this.database, 'NoteReceipt');
  }
}
