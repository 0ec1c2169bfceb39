// Two reactions that read, modify and write rows that many streams share. What keeps them apart within one transaction is
// the name that the first declares; the second declares nothing and so runs alone.
import { Database } from '@app/database';
import type { Reaction } from '@app/messaging';
import { EventsHandler } from '@nestjs/cqrs';
import { Credited, Debited } from '../contracts.js';
import { writeEffect } from '../effect.js';
import type { FaultsTables } from '../tables.js';

const BUCKETS = 5;

/** The checker has the same rule. */
const bucketOf = (prefix: string, accountId: string) => `${prefix}${Number(accountId.slice(1)) % BUCKETS}`;

@EventsHandler(Credited)
export class AddToTotalOnCredited implements Reaction<Credited> {
  constructor(private readonly database: Database<FaultsTables>) {}

  touches = ({ accountId }: Credited) => [`total:${bucketOf('credit-', accountId)}`];

  async handle({ accountId, amount }: Credited): Promise<void> {
    await add(this.database, bucketOf('credit-', accountId), amount);
    await writeEffect(this.database, 'AddToTotal');
  }
}

@EventsHandler(Debited)
export class AddToTotalOnDebited implements Reaction<Debited> {
  constructor(private readonly database: Database<FaultsTables>) {}

  async handle({ accountId, amount }: Debited): Promise<void> {
    await add(this.database, bucketOf('debit-', accountId), amount);
    await writeEffect(this.database, 'AddToTotal');
  }
}

/** Against other transactions the row lock helps; within this one only the rule above does. */
async function add({ tx }: Database<FaultsTables>, bucket: string, amount: number): Promise<void> {
  await tx
    .insertInto('totals')
    .values({ bucket, amount: 0, events: 0 })
    .onConflict((conflict) => conflict.doNothing())
    .execute();
  const before = await tx
    .selectFrom('totals')
    .where('bucket', '=', bucket)
    .selectAll()
    .forUpdate()
    .executeTakeFirstOrThrow();
  await tx
    .updateTable('totals')
    .set({ amount: Number(before.amount) + amount, events: Number(before.events) + 1 })
    .where('bucket', '=', bucket)
    .execute();
}
