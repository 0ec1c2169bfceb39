import { randomUUID } from 'node:crypto';
import { eventually, startTcpProxy, type TcpProxy } from '@app/testing';
import { firstArrivalsOutOfOrder, startOutbox, type Heard, type OutboxFixture } from './outbox.fixture.js';
import type { Relay } from './relay.js';

const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

describe('Relay, with a broker in trouble', () => {
  let outbox: OutboxFixture;
  const proxies: TcpProxy[] = [];
  beforeEach(async () => (outbox = await startOutbox()));
  afterEach(async () => {
    for (const proxy of proxies) proxy.pass();
    await outbox.stop();
    for (const proxy of proxies.splice(0)) await proxy.close();
  });

  const through = async (url: string) => {
    const proxy = await startTcpProxy(url);
    proxies.push(proxy);
    return proxy;
  };
  const active = (relay: Relay, timeoutMs = 5_000) =>
    eventually(() => expect(relay.status).toMatchObject({ active: true, broker: { state: 'connected' } }), {
      timeoutMs,
    });
  /** Everything that was recorded has arrived, at least once. */
  const arrived = (heard: readonly Heard[], events: number) =>
    eventually(() => expect(new Set(heard.map(({ id }) => id)).size).toBe(events));

  it('loses nothing and keeps the order while its connections are reset', async () => {
    const heard = await outbox.listen();
    const proxy = await through(outbox.vhost.url);
    await outbox.fill(10_000);
    const relay = outbox.relay({ rabbitmqUrls: [proxy.url] });
    relay.start();
    for (let n = 0; n < 6; n++) {
      await wait(50);
      proxy.reset();
    }
    expect(await outbox.pending()).toBeGreaterThan(0); // it was at work
    await outbox.emptied();
    await arrived(heard, 10_000);
    // At the queue itself only retried windows overlap; what comes for the first time comes in order.
    expect(firstArrivalsOutOfOrder(heard)).toEqual([]);
  });

  it('publishes again what was never confirmed, with the same ids', async () => {
    const heard = await outbox.listen();
    const proxy = await through(outbox.vhost.url);
    const relay = outbox.relay({ rabbitmqUrls: [proxy.url] });
    relay.start();
    await active(relay);
    proxy.blackHole('toClient');
    await outbox.record(relay, [randomUUID(), randomUUID()]);
    await eventually(() => expect(heard).toHaveLength(2));
    expect(await outbox.pending()).toBe(2);
    expect(relay.status.published).toBe(0);
    proxy.reset();
    proxy.pass();
    await outbox.emptied();
    await eventually(() => expect(heard).toHaveLength(4));
    await arrived(heard, 2);
  });

  it('declares a deleted exchange again and goes on', async () => {
    const relay = outbox.relay();
    relay.start();
    await active(relay);
    await outbox.vhost.api('DELETE', `exchanges/${outbox.vhost.name}/users.events`);
    await outbox.fill(300);
    await outbox.emptied();
    expect(await outbox.vhost.exchanges()).toContainEqual(expect.objectContaining({ name: 'users.events' }));
    expect(await outbox.rows('select from messaging.unpublishable')).toEqual([]);
  });

  it('waits when a subscriber’s queue refuses, without flooding the others, and goes on', async () => {
    const other = await outbox.listen('other');
    await outbox.vhost.api('PUT', `queues/${outbox.vhost.name}/full`, {
      durable: true,
      arguments: { 'x-queue-type': 'quorum' },
    });
    await outbox.vhost.api('POST', `bindings/${outbox.vhost.name}/e/users.events/q/full`, { routing_key: '#' });
    const relay = outbox.relay();
    relay.start();
    await active(relay);
    const policy = `policies/${outbox.vhost.name}/tight`;
    const limit = (events: number) =>
      outbox.vhost.api('PUT', policy, {
        pattern: '^full$',
        'apply-to': 'queues',
        definition: { 'max-length': events, overflow: 'reject-publish' },
      });
    await limit(5);
    await eventually(async () => {
      const queue = (await outbox.vhost.queues()).find(({ name }) => name === 'full');
      expect(queue).toMatchObject({ policy: 'tight' });
    });
    // One by one, or they would travel together, in fewer messages than the queue takes.
    for (let events = 1; events <= 20; events++) {
      await outbox.record(relay, [randomUUID()]);
      await eventually(() => expect(relay.status.published + relay.status.nacked).toBeGreaterThanOrEqual(events), {
        intervalMs: 5,
      });
    }
    await eventually(() => expect(relay.status.nacked).toBeGreaterThan(0));
    await wait(1_000);
    expect(other.length).toBeLessThan(20 * 12); // growing delays, per event
    expect(await outbox.pending()).toBeGreaterThan(0);
    await limit(1_000);
    const full = await outbox.listen('full');
    await outbox.emptied(15_000);
    await arrived(full, 20);
    await arrived(other, 20);
  });

  it('says that it may not publish, does not crash, and goes on when it may', async () => {
    const user = `test-${randomUUID()}`;
    const permit = (write: string) =>
      outbox.vhost.api('PUT', `permissions/${outbox.vhost.name}/${user}`, { configure: '.*', write, read: '.*' });
    await outbox.vhost.api('PUT', `users/${user}`, { password: 'secret', tags: '' });
    try {
      await permit('');
      const url = new URL(outbox.vhost.url);
      url.username = user;
      url.password = 'secret';
      const relay = outbox.relay({ rabbitmqUrls: [url.href] });
      relay.start();
      await outbox.fill(3);
      await eventually(() => expect(relay.status.broker.reason).toMatch(/ACCESS.REFUSED.*needs configure, write/));
      await permit('.*');
      await outbox.emptied();
      expect(await outbox.rows('select from messaging.unpublishable')).toEqual([]);
    } finally {
      await outbox.vhost.api('DELETE', `users/${user}`);
    }
  });

  it('goes to the next broker when one is away', async () => {
    const proxy = await through(outbox.vhost.url);
    const relay = outbox.relay({ rabbitmqUrls: [proxy.url, outbox.vhost.url] });
    relay.start();
    await active(relay);
    proxy.refuse();
    await outbox.fill(10);
    await outbox.emptied(3_000);
  });

  it('lets another relay take over if only its own way to the broker is closed', async () => {
    const proxy = await through(outbox.vhost.url);
    const [cutOff, other] = [outbox.relay({ rabbitmqUrls: [proxy.url] }), outbox.relay()];
    cutOff.start();
    await active(cutOff);
    other.start();
    proxy.refuse();
    await outbox.fill(10);
    await outbox.emptied(8_000); // 5 s of patience, 1 s until the other one asks
    expect(other.status.published).toBe(10);
    expect(cutOff.status.active).toBe(false);
  });
});
