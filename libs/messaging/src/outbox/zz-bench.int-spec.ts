import { connect } from 'amqplib';
import { startOutbox } from './outbox.fixture.js';
import { Logger } from '@nestjs/common';
Logger.overrideLogger(false);
it('bench', async () => {
  const o = await startOutbox();
  const m = await connect(o.vhost.url); const c = await m.createChannel();
  await c.assertExchange('users.events', 'topic', { durable: true });
  await c.assertQueue('q', { durable: true, arguments: { 'x-queue-type': 'quorum' } });
  await c.bindQueue('q', 'users.events', '#');
  for (let round = 0; round < 3; round++) {
    await o.fill(50_000, 1000);
    await o.rows('analyze messaging.outbox'); await o.rows('analyze messaging.events');
    const relay = o.relay();
    const cpu = process.cpuUsage();
    relay.start();
    await new Promise((r) => setTimeout(r, 1));
    while (!relay.status.inFlight) await new Promise((r) => setTimeout(r, 1));
    const t = performance.now();
    await o.emptied(60_000);
    const ms = performance.now() - t; const used = process.cpuUsage(cpu);
    process.stderr.write(`relay ${Math.round(50_000 / ms * 1000)}/s cpu ${Math.round((used.user + used.system)/1000)} ms\n`);
    await relay.stop();
    await c.purgeQueue('q');
  }
  await m.close();
  await o.stop();
}, 120_000);
