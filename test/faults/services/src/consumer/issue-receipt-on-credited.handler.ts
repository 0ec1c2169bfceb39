import { Database } from '@app/database';
import { Outbox, type Reaction } from '@app/messaging';
import { EventsHandler } from '@nestjs/cqrs';
import { Credited, ReceiptIssued } from '../contracts.js';
import { writeEffect } from '../effect.js';
import { failsAtRandom } from '../misbehave.js';
import type { FaultsTables } from '../tables.js';

/** Share of the events that fail. */
const FAILING = Number(process.env.FAULTS_FAILING_RECEIPTS ?? 0.005);

/** Records an event of its own. Some fail after that, the first time: nobody may ever hear of that receipt. */
@EventsHandler(Credited)
export class IssueReceiptOnCredited implements Reaction<Credited> {
  constructor(
    private readonly database: Database<FaultsTables>,
    private readonly outbox: Outbox,
  ) {}

  touches = () => [];

  async handle(event: Credited): Promise<void> {
    const { accountId, commandId, index, amount } = event;
    await this.outbox.add(this.database.tx, new ReceiptIssued({ accountId, commandId, index, amount }));
    await writeEffect(this.database, 'IssueReceipt');
    if (failsAtRandom('IssueReceipt', event, FAILING)) throw new Error('fails after it has recorded an event');
  }
}
