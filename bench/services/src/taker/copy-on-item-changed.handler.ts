import { Database } from '@app/database';
import type { BatchReaction, Reaction } from '@app/messaging';
import { EventsHandler } from '@nestjs/cqrs';
import { ItemChanged } from '../contracts.js';
import { Progress } from '../progress.js';
import { entryOf, type BenchTables } from '../tables.js';

/** One multi-row statement for all events of a batch. */
@EventsHandler(ItemChanged)
export class CopyManyOnItemChanged implements BatchReaction<ItemChanged> {
  constructor(
    private readonly database: Database<BenchTables>,
    private readonly progress: Progress,
  ) {}

  async handleMany(events: readonly ItemChanged[]): Promise<void> {
    const { tx } = this.database;
    tx.afterCommit(() => this.progress.add(events));
    await tx.query(
      `insert into entries (item_id, version, amount, note)
       select * from unnest($1::uuid[], $2::integer[], $3::integer[], $4::text[])`,
      [
        events.map(({ itemId }) => itemId),
        events.map(({ version }) => version),
        events.map(({ amount }) => amount),
        events.map(({ note }) => note),
      ],
    );
  }
}

/** Ordinary code: one statement for one event. */
@EventsHandler(ItemChanged)
export class CopyOnItemChanged implements Reaction<ItemChanged> {
  constructor(
    private readonly database: Database<BenchTables>,
    private readonly progress: Progress,
  ) {}

  touches = () => [];

  async handle(event: ItemChanged): Promise<void> {
    const { tx } = this.database;
    tx.afterCommit(() => this.progress.add([event]));
    await tx.insertInto('entries').values(entryOf(event)).execute();
  }
}
