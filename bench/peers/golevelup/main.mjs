// The peer: @golevelup/nestjs-rabbitmq on Nest 11 as its documentation shows it, made as safe as its options allow (durable
// quorum queue, persistent messages with confirms, acknowledged after the insert). No outbox, no inbox. Same tables, same
// load and same clock as the others.
import 'reflect-metadata';
import { createServer } from 'node:http';
import path from 'node:path';
import { AmqpConnection, RabbitMQModule, RabbitSubscribe } from '@golevelup/nestjs-rabbitmq';
import { NestFactory } from '@nestjs/core';
import pg from 'pg';

const built = (/** @type {string} */ file) =>
  import(path.resolve(import.meta.dirname, '../../../dist/bench/bench/services/src', file));
const { runLoad } = await built('load.js');
const { Progress } = await built('progress.js');

const EXCHANGE = 'items';
const PATTERN = 'item.changed';
const isTaker = process.env.BENCH_SERVICE === 'golevelup-taker';
const progress = new Progress();
const pool = new pg.Pool({ connectionString: process.env.BENCH_DATABASE_URL, max: 16 });
const values = ({ itemId, version, amount, note }) => [itemId, version, amount, note];

class Subscriptions {
  async itemChanged(item) {
    await pool.query({
      name: 'entry',
      text: 'insert into entries (item_id, version, amount, note) values ($1, $2, $3, $4)',
      values: values(item),
    });
    progress.add([item]);
  }
}
const { prototype } = Subscriptions;
RabbitSubscribe({
  exchange: EXCHANGE,
  routingKey: PATTERN,
  queue: 'golevelup',
  queueOptions: { durable: true, arguments: { 'x-queue-type': 'quorum' } },
})(prototype, 'itemChanged', Object.getOwnPropertyDescriptor(prototype, 'itemChanged'));

class AppModule {}
const app = await NestFactory.createApplicationContext(
  {
    module: AppModule,
    imports: [
      RabbitMQModule.forRoot({
        exchanges: [{ name: EXCHANGE, type: 'topic', options: { durable: true } }],
        uri: process.env.RABBITMQ_URL,
        prefetchCount: 256,
        connectionInitOptions: { wait: true },
        enableControllerDiscovery: false,
      }),
    ],
    providers: isTaker ? [Subscriptions] : [],
  },
  { logger: ['error'] },
);
app.enableShutdownHooks();
const connection = app.get(AmqpConnection);

async function command(item) {
  await pool.query({
    name: 'item',
    text: 'insert into items (item_id, version, bucket, amount, note) values ($1, $2, $5, $3, $4)',
    values: [...values(item), item.bucket],
  });
  progress.note(item.itemId);
  await connection.publish(EXCHANGE, PATTERN, item, { persistent: true });
}

const routes = {
  'GET /progress': () => progress.read(),
  'GET /progress/times': () => Object.fromEntries(progress.times),
  'POST /progress/reset': ({ keepTimes }) => progress.reset(keepTimes),
  'POST /work': (load) => runLoad(load, command),
};
createServer(async (request, response) => {
  try {
    let body = '';
    for await (const chunk of request) body += chunk;
    const answer = await routes[`${request.method} ${request.url}`](body ? JSON.parse(body) : {});
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(answer ?? null));
  } catch (error) {
    response.writeHead(500).end(String(error));
  }
}).listen(Number(process.env.BENCH_PORT), '127.0.0.1');
