import { Database, type Transaction } from '@app/database';
import type { Reaction } from '@app/messaging';
import { EventsHandler } from '@nestjs/cqrs';
import { ItemChanged, type Item } from '../contracts.js';
import { Progress } from '../progress.js';
import type { BenchTables } from '../tables.js';

/** Reads, modifies and writes a row that streams share. */
export async function addToTotal(tx: Transaction<BenchTables>, { bucket, amount }: Item): Promise<void> {
  const total = await tx
    .selectFrom('totals')
    .where('bucket', '=', bucket)
    .select(['amount', 'events'])
    .forUpdate()
    .executeTakeFirstOrThrow();
  await tx
    .updateTable('totals')
    .set({ amount: Number(total.amount) + amount, events: Number(total.events) + 1 })
    .where('bucket', '=', bucket)
    .execute();
}

/** Says which row that is. */
@EventsHandler(ItemChanged)
export class AddOnItemChanged implements Reaction<ItemChanged> {
  constructor(
    private readonly database: Database<BenchTables>,
    private readonly progress: Progress,
  ) {}

  touches = ({ bucket }: ItemChanged) => [`total:${bucket}`];

  async handle(event: ItemChanged): Promise<void> {
    const { tx } = this.database;
    tx.afterCommit(() => this.progress.add([event]));
    await addToTotal(tx, event);
  }
}

/** Says nothing, and so runs alone. */
@EventsHandler(ItemChanged)
export class AddUndeclaredOnItemChanged implements Reaction<ItemChanged> {
  constructor(
    private readonly database: Database<BenchTables>,
    private readonly progress: Progress,
  ) {}

  async handle(event: ItemChanged): Promise<void> {
    const { tx } = this.database;
    tx.afterCommit(() => this.progress.add([event]));
    await addToTotal(tx, event);
  }
}
