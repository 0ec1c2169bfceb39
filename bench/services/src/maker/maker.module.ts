import { Database } from '@app/database';
import { Outbox } from '@app/messaging';
import { BackboneModule } from '@app/service';
import { Injectable, Module } from '@nestjs/common';
import { ItemChanged, type Item } from '../contracts.js';
import { ProgressController } from '../progress.controller.js';
import { Progress } from '../progress.js';
import type { BenchTables } from '../tables.js';
import { Commands, WorkController } from '../work.js';

/** A row and its event, in one transaction. */
@Injectable()
export class ChangeItem extends Commands {
  constructor(
    private readonly database: Database<BenchTables>,
    private readonly outbox: Outbox,
    private readonly progress: Progress,
  ) {
    super();
  }

  async run(item: Item): Promise<void> {
    const { itemId, ...rest } = item;
    await this.database.transaction(async (tx) => {
      tx.executeLater(tx.insertInto('items').values({ item_id: itemId, ...rest }));
      await this.outbox.add(tx, new ItemChanged(item));
    });
    this.progress.note(itemId);
  }
}

@Module({
  imports: [BackboneModule],
  controllers: [WorkController, ProgressController],
  providers: [{ provide: Commands, useClass: ChangeItem }, Progress],
})
export class MakerModule {}
