import { createTestVhost, eventually, freePort, startTcpProxy, type TcpProxy, type TestVhost } from '@app/testing';
import { Logger } from '@nestjs/common';
import type { Channel } from 'amqplib';
import { BrokerLink } from './broker-link.js';

Logger.overrideLogger(false);

const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

describe('BrokerLink', () => {
  let vhost: TestVhost;
  let proxy: TcpProxy;
  let links: BrokerLink[];
  let setUps: number;

  const link = (urls: string[], setUp: (channel: Channel) => Promise<unknown> = () => Promise.resolve()) => {
    const made = new BrokerLink({
      urls,
      service: 'test',
      purpose: 'link',
      open: (model) => model.createChannel(),
      setUp: async (channel) => {
        setUps++;
        await setUp(channel);
      },
    });
    links.push(made);
    made.start();
    return made;
  };
  const connected = (made: BrokerLink, timeoutMs = 5_000) =>
    eventually(() => expect(made.status).toEqual({ state: 'connected' }), { timeoutMs, intervalMs: 5 });
  const because = (made: BrokerLink, reason: RegExp) =>
    eventually(() => expect(made.status.reason).toMatch(reason), { timeoutMs: 5_000, intervalMs: 5 });
  const timed = async (work: Promise<unknown>) => {
    const started = performance.now();
    await work;
    return performance.now() - started;
  };

  beforeAll(async () => {
    vhost = await createTestVhost();
    proxy = await startTcpProxy(vhost.url);
  });
  beforeEach(() => {
    links = [];
    setUps = 0;
    proxy.pass();
  });
  afterEach(async () => {
    await Promise.all(links.map((made) => made.stop()));
    proxy.pass();
    await eventually(() => expect(proxy.connections).toBe(0));
    await eventually(async () => expect(await vhost.connections()).toEqual([]));
  });
  afterAll(async () => {
    await proxy.close();
    await vhost.drop();
  });

  it('connects again after a reset', async () => {
    const made = link([proxy.url]);
    await connected(made);
    proxy.reset();
    await because(made, /ECONNRESET.*Is RabbitMQ running/);
    expect(made.channel).toBeUndefined();
    await connected(made);
    expect(setUps).toBe(2);
  });

  it('survives a cut at any byte of the handshake and of the set-up', async () => {
    const declare = (channel: Channel) => channel.assertExchange('cut', 'topic', { durable: true });
    for (const direction of ['toClient', 'toServer'] as const) {
      for (let bytes = 0; bytes < 800; bytes += 97) {
        proxy.cutAfter(bytes, direction);
        const made = link([proxy.url], declare);
        await connected(made);
        await made.stop();
        proxy.pass();
      }
    }
  });

  it('finds a connection that has silently died', async () => {
    const made = link([`${proxy.url}?heartbeat=1`]); // the default of 6 s takes 12–18 s
    await connected(made);
    proxy.blackHole();
    const found = await timed(because(made, /Heartbeat timeout/));
    expect(found).toBeLessThan(4_500);
    proxy.pass();
    await connected(made);
  });

  it('finds a connection over which the broker hears nothing', async () => {
    const made = link([`${proxy.url}?heartbeat=1`]);
    await connected(made);
    proxy.blackHole('toServer');
    await eventually(() => expect(made.status.state).toBe('connecting'), { timeoutMs: 4_500 });
    proxy.pass();
    await connected(made);
  });

  it('connects again when an operator closes the connection', async () => {
    const made = link([vhost.url]);
    await connected(made);
    await eventually(async () => expect(await vhost.connections()).toHaveLength(1));
    await vhost.closeConnections();
    await because(made, /CONNECTION.FORCED/);
    await connected(made);
  });

  it('builds everything anew when only its channel breaks', async () => {
    const made = link([vhost.url]);
    await connected(made);
    await expect(made.channel!.checkQueue('missing')).rejects.toThrow(/NOT.FOUND/);
    await because(made, /NOT.FOUND/);
    await connected(made);
    expect(setUps).toBe(2);
  });

  it('tries the next URL when one fails, without a long wait', async () => {
    const nobody = `amqp://guest:guest@127.0.0.1:${await freePort()}`;
    const made = link([nobody, vhost.url]);
    expect(await timed(connected(made))).toBeLessThan(1_500);
  });

  describe('says what to do, and does not hammer the broker', () => {
    const attempts = async (made: BrokerLink, reason: RegExp) => {
      const before = proxy.accepted;
      await because(made, reason);
      await wait(600);
      await because(made, reason);
      expect(proxy.accepted - before).toBeLessThan(15);
    };
    const user = { name: 'test-limited', password: 'secret' };
    const asUser = (password: string) => {
      const url = new URL(proxy.url);
      url.username = user.name;
      url.password = password;
      return url.href;
    };
    beforeAll(() => vhost.api('PUT', `users/${user.name}`, { password: user.password, tags: '' }));
    afterAll(() => vhost.api('DELETE', `users/${user.name}`));

    it('about a queue with other settings', async () => {
      await vhost.api('PUT', `queues/${vhost.name}/other`, { durable: true });
      const declare = (channel: Channel) =>
        channel.assertQueue('other', { durable: true, arguments: { 'x-queue-type': 'quorum' } });
      await attempts(link([proxy.url], declare), /PRECONDITION.FAILED.*delete it in the management UI/);
    });

    it('about a virtual host that does not exist', async () => {
      await attempts(
        link([proxy.url.replace(vhost.name, 'nowhere')]),
        /"nowhere".*does not exist.*Check the end of RABBITMQ_URL/,
      );
    });

    it('about a user without access to the virtual host', async () => {
      await attempts(link([asUser(user.password)]), /the user may not use it.*permissions of the virtual host/);
    });

    it('about an unknown user or a wrong password, without telling it', async () => {
      const made = link([asUser('not-the-secret')]);
      await attempts(made, /Login was refused.*Check user and password/);
      expect(made.status.reason).not.toMatch(/secret/);
    });

    it('about missing permissions, and goes on when they are given', async () => {
      const permit = (configure: string) =>
        vhost.api('PUT', `permissions/${vhost.name}/${user.name}`, { configure, write: '.*', read: '.*' });
      await permit('');
      const made = link([asUser(user.password)], (channel) => channel.assertExchange('mine', 'topic'));
      await attempts(made, /ACCESS.REFUSED.*needs configure, write and read permission/);
      await permit('.*');
      await connected(made, 8_000);
    });
  });

  describe('stops quickly', () => {
    const stops = async (made: BrokerLink) => {
      expect(await timed(made.stop())).toBeLessThan(1_500);
      expect(made.status.state).toBe('stopped');
      expect(made.channel).toBeUndefined();
    };

    it('while connected', async () => {
      const made = link([proxy.url]);
      await connected(made);
      await stops(made);
    });

    it('while it shakes hands with somebody who is silent', async () => {
      proxy.blackHole();
      const made = link([proxy.url]);
      await eventually(() => expect(proxy.connections).toBe(1));
      await stops(made);
    });

    it('while it waits for its next attempt', async () => {
      proxy.refuse();
      const made = link([proxy.url]);
      await because(made, /./);
      await wait(1_000);
      await stops(made);
    });

    it('while it is set up', async () => {
      const made = link([proxy.url], () => new Promise(() => {}));
      await eventually(() => expect(setUps).toBe(1));
      await stops(made);
    });

    it('while the other side is silent', async () => {
      const made = link([proxy.url]);
      await connected(made);
      proxy.blackHole();
      await stops(made);
    });

    it('twice, and before it was started', async () => {
      const made = link([proxy.url]);
      await Promise.all([made.stop(), made.stop()]);
      await new BrokerLink({
        urls: [proxy.url],
        service: 'test',
        purpose: 'link',
        open: (model) => model.createChannel(),
        setUp: () => Promise.resolve(),
      }).stop();
    });
  });
});
