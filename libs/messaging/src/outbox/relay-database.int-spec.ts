import { eventually, startTcpProxy, type TcpProxy } from '@app/testing';
import { firstArrivalsOutOfOrder, startOutbox, type Heard, type OutboxFixture } from './outbox.fixture.js';
import type { Relay } from './relay.js';

const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

describe('Relay, with a database in trouble', () => {
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

  it('goes on after its connections have been reset', async () => {
    const heard = await outbox.listen();
    const proxy = await through(outbox.databaseUrl);
    await outbox.fill(10_000);
    const relay = outbox.relay({ databaseUrl: proxy.url });
    relay.start();
    for (let n = 0; n < 5; n++) {
      await wait(60);
      proxy.reset();
    }
    expect(await outbox.pending()).toBeGreaterThan(0); // it was at work
    await outbox.emptied(15_000);
    await arrived(heard, 10_000);
    expect(firstArrivalsOutOfOrder(heard)).toEqual([]);
  });

  it('says that the database is away, and goes on when it is back', async () => {
    const proxy = await through(outbox.databaseUrl);
    const relay = outbox.relay({ databaseUrl: proxy.url });
    relay.start();
    await active(relay);
    proxy.refuse();
    await eventually(() =>
      expect(relay.status).toMatchObject({ active: false, trouble: expect.any(String) as string }),
    );
    await outbox.fill(10);
    await wait(500);
    proxy.pass();
    await outbox.emptied(5_000);
    expect(relay.status.trouble).toBeUndefined();
  });

  it('finds a connection to the database that has silently died, and stops quickly with one', async () => {
    const proxy = await through(outbox.databaseUrl);
    const relay = outbox.relay({ databaseUrl: proxy.url });
    relay.start();
    await active(relay);
    proxy.blackHole();
    await eventually(() => expect(relay.status.active).toBe(false), { timeoutMs: 8_000 });
    const started = performance.now();
    await relay.stop();
    expect(performance.now() - started).toBeLessThan(7_000);
  });
});
