// The peer: Nest's own RabbitMQ transport as its documentation shows it, made as safe as its options allow (durable quorum
// queue, persistent messages, manual acknowledgement after the insert). No outbox, no inbox: what a crash between a commit
// and an emit, or between an insert and an acknowledgement, loses or doubles, it loses or doubles.
import 'reflect-metadata';
import { Database, DatabaseModule } from '@app/database';
import { Controller, Inject, Injectable, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import {
  ClientsModule,
  Ctx,
  EventPattern,
  Payload,
  Transport,
  type ClientProxy,
  type MicroserviceOptions,
  type RmqContext,
  type RmqOptions,
} from '@nestjs/microservices';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { SchemaValidationPipe } from '@app/service';
import { lastValueFrom } from 'rxjs';
import type { Item } from '../contracts.js';
import { ProgressController } from '../progress.controller.js';
import { Progress } from '../progress.js';
import { entryOf, type BenchTables } from '../tables.js';
import { addToTotal } from '../taker/add-on-item-changed.handler.js';
import { Commands, WorkController } from '../work.js';

const PATTERN = 'item.changed';

/** Printed with the results. */
const rmq = {
  urls: [process.env.RABBITMQ_URL!],
  queue: 'stock',
  queueOptions: { durable: true, arguments: { 'x-queue-type': 'quorum' } },
};
const database = DatabaseModule.forRootAsync({
  useFactory: () => ({
    url: process.env.BENCH_DATABASE_URL!,
    applicationName: process.env.BENCH_SERVICE!,
    poolSize: 16,
  }),
});

@Injectable()
class EmitItem extends Commands {
  constructor(
    private readonly database: Database<BenchTables>,
    @Inject('RABBITMQ') private readonly client: ClientProxy,
    private readonly progress: Progress,
  ) {
    super();
  }

  async run(item: Item): Promise<void> {
    const { itemId, ...rest } = item;
    await this.database.read
      .insertInto('items')
      .values({ item_id: itemId, ...rest })
      .execute();
    this.progress.note(itemId);
    await lastValueFrom(this.client.emit(PATTERN, item), { defaultValue: undefined });
  }
}

@Module({
  imports: [
    database,
    ClientsModule.register([{ name: 'RABBITMQ', transport: Transport.RMQ, options: { ...rmq, persistent: true } }]),
  ],
  controllers: [WorkController, ProgressController],
  providers: [{ provide: Commands, useClass: EmitItem }, Progress],
})
class StockMakerModule {}

@Controller()
class StockSubscriptionsController {
  constructor(
    private readonly database: Database<BenchTables>,
    private readonly progress: Progress,
  ) {}

  @EventPattern<string>(PATTERN)
  async itemChanged(@Payload() item: Item, @Ctx() context: RmqContext): Promise<void> {
    if (process.env.BENCH_REACTION === 'shared') await this.database.transaction((tx) => addToTotal(tx, item));
    else await this.database.read.insertInto('entries').values(entryOf(item)).execute();
    (context.getChannelRef() as { ack(message: unknown): void }).ack(context.getMessage());
    this.progress.add([item]);
  }
}

@Module({
  imports: [database],
  controllers: [StockSubscriptionsController, ProgressController],
  providers: [Progress],
})
class StockTakerModule {}

/** Runs one of the two. */
export async function runStock(service: string): Promise<void> {
  const module = service === 'stock-maker' ? StockMakerModule : StockTakerModule;
  const app = await NestFactory.create<NestFastifyApplication>(module, new FastifyAdapter(), { logger: ['error'] });
  app.useGlobalPipes(new SchemaValidationPipe());
  if (service === 'stock-taker') {
    const options: RmqOptions['options'] = { ...rmq, noAck: false, prefetchCount: 256 };
    app.connectMicroservice<MicroserviceOptions>({ transport: Transport.RMQ, options });
    await app.startAllMicroservices();
  }
  app.enableShutdownHooks();
  await app.listen(Number(process.env.BENCH_PORT), '127.0.0.1');
}
