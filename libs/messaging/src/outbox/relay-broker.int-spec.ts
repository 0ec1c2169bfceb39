import { randomUUID } from 'node:crypto';
import { eventually, startServers, vhostOn, type TestServers } from '@app/testing';
import { connect } from 'amqplib';
import { CHUNK_END, CHUNK_REQUEST } from '../books/protocol.js';
import { ReplayServer } from '../books/replay-server.js';
import { REPLAY_REQUESTS } from '../options.js';
import { Publisher } from '../rabbitmq/publisher.js';
import { firstArrivalsOutOfOrder, startOutbox, type OutboxFixture } from './outbox.fixture.js';
import type { Relay } from './relay.js';
import { listUnpublishable, releaseUnpublishable } from './unpublishable.js';

jest.setTimeout(120_000);

/** With a broker of its own, because it is stopped, starved and misconfigured here. */
describe('Relay', () => {
  let servers: TestServers;
  let outbox: OutboxFixture;
  let relay: Relay;
  let impatient: Publisher | undefined;

  beforeAll(async () => {
    servers = await startServers({ only: 'rabbitmq' });
  });
  afterAll(() => servers?.close());
  beforeEach(async () => {
    outbox = await startOutbox(await vhostOn(servers.rabbitmqUrl, servers.managementUrl));
    relay = outbox.relay();
    relay.start();
    await eventually(() => expect(relay.status).toMatchObject({ active: true, broker: { state: 'connected' } }));
  });
  afterEach(() => impatient?.link.stop());
  afterEach(() => outbox.stop());

  const restart = async () => {
    await relay.stop();
    relay = outbox.relay();
    relay.start();
  };

  it('waits while the broker has no memory left, stops quickly then, and goes on afterwards', async () => {
    await servers.rabbitmqctl(['set_vm_memory_high_watermark', '0.000001']);
    impatient = new Publisher([outbox.vhost.url], 'users', 'impatient publisher', 300);
    impatient.link.start();
    await outbox.fill(2_000);
    await eventually(() => expect(relay.status.broker.state).toBe('blocked'));
    await eventually(() => expect(impatient?.link.channel).toBeDefined());
    const answer = impatient.publish('users.events', 'users.user.greeted.v1', Buffer.from('{}'), { messageId: '1' });
    expect(relay.status.broker.reason).toMatch(/blocks publishers: low on memory/);
    const before = process.cpuUsage();
    await outbox.fill(2_000);
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    const { user, system } = process.cpuUsage(before);
    expect(user + system).toBeLessThan(500_000); // of 1 s: does not spin
    expect(relay.status).toMatchObject({ active: true, broker: { state: 'blocked' } });
    expect(relay.takesRecorded).toBe(false); // commands need not pay for what cannot be published

    const started = performance.now();
    await restart();
    expect(performance.now() - started).toBeLessThan(5_000);
    expect(await outbox.pending()).toBe(4_000);

    await eventually(() => expect(relay.status.broker.state).toBe('blocked'));
    await servers.rabbitmqctl(['set_vm_memory_high_watermark', '0.4']);
    await outbox.emptied(30_000);
    expect(relay.status.published).toBe(4_000);
    expect(await answer).toBe('unroutable'); // no time-out, because the broker had said why it did not answer
  });

  describe('when an event is larger than the broker allows', () => {
    const limitMessagesTo = (bytes: number) =>
      servers.rabbitmqctl(['eval', `application:set_env(rabbit,max_message_size,${bytes}).`]);
    beforeAll(async () => void (await limitMessagesTo(600)));
    beforeEach(restart); // a channel keeps the limit that it was opened with

    it('finds each of several', async () => {
      const large = Array.from({ length: 5 }, randomUUID);
      await outbox.record(relay, large, 'x'.repeat(200));
      await outbox.fill(100);
      await outbox.emptied(30_000);
      const held = (await listUnpublishable(outbox.pool)).map(({ subject }) => subject);
      expect(held.sort()).toEqual(large.sort());
    });

    it('sends smaller messages if only a batch is too large', async () => {
      const heard = await outbox.listen();
      await outbox.fill(200);
      await outbox.emptied(30_000);
      await outbox.fill(200);
      await outbox.emptied(30_000);
      await eventually(() => expect(new Set(heard.map(({ id }) => id)).size).toBe(400), { timeoutMs: 30_000 });
      expect(await listUnpublishable(outbox.pool)).toEqual([]);
    });

    it('replay learns it, sends smaller messages, and leaves out what is too large alone', async () => {
      await relay.stop();
      await outbox.fill(1_000);
      await outbox.rows('delete from messaging.outbox');
      const large = `update messaging.events set data = json_build_object('name', repeat('x', 800)) where position = 700`;
      await outbox.rows(large);
      const server = new ReplayServer(outbox.options());
      server.start();
      const model = await connect(outbox.vhost.url);
      const channel = await model.createChannel();
      await channel.assertQueue('asks', { durable: true, arguments: { 'x-queue-type': 'quorum' } });
      await eventually(() => expect(server.status.state).toBe('connected'));
      await channel.bindQueue('asks', 'users.replay', 'asks');
      const sequences: number[] = [];
      let reached = 0;
      await channel.consume(
        'asks',
        (message) => {
          const { content, properties } = message!;
          const body = JSON.parse(content.toString()) as { position: string } | { position: string }[];
          if (properties.type === CHUNK_END) reached = (body as unknown as { reached: number }).reached;
          else sequences.push(...[body].flat().map(({ position }) => Number(position)));
        },
        { noAck: true },
      );
      const [log] = await outbox.rows<{ epoch: string }>('select epoch from messaging.log');
      const request = { queue: 'asks', ...log, aggregate: 'users.user', after: 0, upTo: 1_000 };
      const ask = () =>
        channel.publish(REPLAY_REQUESTS, 'users', Buffer.from(JSON.stringify(request)), { type: CHUNK_REQUEST });
      const asking = setInterval(ask, 500);
      ask();
      await eventually(() => expect(reached).toBe(1_000), { timeoutMs: 30_000 });
      clearInterval(asking);
      const came = new Set(sequences);
      expect([came.size, came.has(699), came.has(700), came.has(701)]).toEqual([999, true, false, true]);
      await server.stop();
      await model.close();
    });

    it('sets it aside, holds its stream, and lets everything else flow', async () => {
      const heard = await outbox.listen();
      const [large, other] = [randomUUID(), randomUUID()];
      await outbox.record(relay, [large, other]);
      await outbox.emptied(30_000);
      await outbox.fill(50);
      await outbox.record(relay, [large], 'x'.repeat(200));
      await outbox.fill(50);
      await outbox.record(relay, [large, other]);
      await eventually(async () => expect(await outbox.pending()).toBe(1));
      const held = await listUnpublishable(outbox.pool);
      expect(held).toMatchObject([{ subject: large, sequence: '2', waiting: 1 }]);
      expect(held[0]!.error).toMatch(/message size \d+ is larger than configured max size 600/);
      expect(relay.status).toMatchObject({ unpublishable: 1, active: true });
      await eventually(() => expect(heard.filter(({ subject }) => subject === other)).toHaveLength(2));
      expect(heard.filter(({ subject }) => subject === large)).toHaveLength(1);

      await limitMessagesTo(10_000);
      await restart();
      expect(await releaseUnpublishable(outbox.pool, held[0]!.position)).toBe(true);
      expect(await releaseUnpublishable(outbox.pool, held[0]!.position)).toBe(false);
      await outbox.emptied(30_000);
      await eventually(() => {
        expect(heard.filter(({ subject }) => subject === large).map(({ sequence }) => sequence)).toEqual([1, 2, 3]);
      });
      expect(await listUnpublishable(outbox.pool)).toEqual([]);
    });
  });

  it('loses nothing when the broker is killed under load, and goes on when it is back', async () => {
    await outbox.vhost.api('PUT', `queues/${outbox.vhost.name}/all`, {
      durable: true,
      arguments: { 'x-queue-type': 'quorum' },
    });
    await outbox.vhost.api('POST', `bindings/${outbox.vhost.name}/e/users.events/q/all`, { routing_key: '#' });
    // RabbitMQ 3.10 confirms nothing any more, after a crash, for a queue that was declared within the last second before it.
    await new Promise((resolve) => setTimeout(resolve, 6_000));
    await outbox.fill(10_000);
    await eventually(() => expect(relay.status.published).toBeGreaterThan(2_000), {
      intervalMs: 1,
      timeoutMs: 30_000,
    });
    await servers.kill('rabbitmq');
    await outbox.fill(1_000);
    expect(await outbox.pending()).toBeGreaterThan(1_000); // it was at work
    await eventually(() => expect(relay.status.broker.reason).toMatch(/Is RabbitMQ running/));
    await servers.start('rabbitmq');
    await outbox.emptied(30_000);
    const heard = await outbox.listen('all');
    await eventually(() => expect(new Set(heard.map(({ id }) => id)).size).toBe(11_000), { timeoutMs: 30_000 });
    expect(firstArrivalsOutOfOrder(heard)).toEqual([]);
  });
});
