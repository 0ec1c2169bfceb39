import { eventually, freePort } from '@app/testing';
import type { Channel } from 'amqplib';
import { startLinks, wait, type LinksFixture } from './broker-link.fixture.js';
import { BrokerLink } from './broker-link.js';

describe('BrokerLink', () => {
  let links: LinksFixture;
  beforeAll(async () => (links = await startLinks()));
  afterEach(() => {
    jest.restoreAllMocks();
    return links.reset();
  });
  afterAll(() => links.stop());

  it('connects again after a reset', async () => {
    const made = links.link([links.proxy.url]);
    await links.connected(made);
    links.proxy.reset();
    await links.because(made, /ECONNRESET.*Is RabbitMQ running/);
    expect(made.channel).toBeUndefined();
    await links.connected(made);
    expect(links.setUps).toBe(2);
  });

  it('survives a cut at any byte of the handshake and of the set-up', async () => {
    const declare = (channel: Channel) => channel.assertExchange('cut', 'topic', { durable: true });
    for (const direction of ['toClient', 'toServer'] as const) {
      for (let bytes = 0; bytes < 800; bytes += 97) {
        links.proxy.cutAfter(bytes, direction);
        const made = links.link([links.proxy.url], declare);
        await links.connected(made);
        await made.stop();
        links.proxy.pass();
      }
    }
  });

  it('finds a connection that has silently died', async () => {
    const made = links.link([`${links.proxy.url}?heartbeat=1`]); // the default of 6 s takes 12–18 s
    await links.connected(made);
    links.proxy.blackHole();
    const found = await links.timed(links.because(made, /Heartbeat timeout/));
    expect(found).toBeLessThan(4_500);
    links.proxy.pass();
    await links.connected(made);
  });

  it('finds a connection over which the broker hears nothing', async () => {
    const made = links.link([`${links.proxy.url}?heartbeat=1`]);
    await links.connected(made);
    links.proxy.blackHole('toServer');
    await eventually(() => expect(made.status.state).toBe('connecting'), { timeoutMs: 4_500 });
    links.proxy.pass();
    await links.connected(made);
  });

  it('connects again when an operator closes the connection', async () => {
    const made = links.link([links.vhost.url]);
    await links.connected(made);
    await eventually(async () => expect(await links.vhost.connections()).toHaveLength(1));
    await links.vhost.closeConnections();
    await links.because(made, /CONNECTION.FORCED/);
    await links.connected(made);
  });

  it('builds everything anew when only its channel breaks', async () => {
    const made = links.link([links.vhost.url]);
    await links.connected(made);
    await expect(made.channel!.checkQueue('missing')).rejects.toThrow(/NOT.FOUND/);
    await links.because(made, /NOT.FOUND/);
    await links.connected(made);
    expect(links.setUps).toBe(2);
  });

  it('tries the next URL when one fails, without a long wait', async () => {
    const nobody = `amqp://guest:guest@127.0.0.1:${await freePort()}`;
    const made = links.link([nobody, links.vhost.url]);
    expect(await links.timed(links.connected(made))).toBeLessThan(1_500);
  });

  describe('stops quickly', () => {
    const stops = async (made: BrokerLink, withinMs = 1_500) => {
      expect(await links.timed(made.stop())).toBeLessThan(withinMs);
      expect(made.status.state).toBe('stopped');
      expect(made.channel).toBeUndefined();
    };

    it('while connected', async () => {
      const made = links.link([links.proxy.url]);
      await links.connected(made);
      await stops(made);
    });

    it('while it shakes hands with somebody who is silent', async () => {
      links.proxy.blackHole();
      const made = links.link([links.proxy.url]);
      await eventually(() => expect(links.proxy.connections).toBe(1));
      await stops(made);
    });

    it('while it waits for its next attempt', async () => {
      links.proxy.refuse();
      jest.spyOn(Math, 'random').mockReturnValue(0.999); // the longest pauses: 220 ms, 440 ms, 880 ms
      const made = links.link([links.proxy.url]);
      await links.because(made, /ECONN/);
      await wait(300); // so that it is in its second pause or a later one
      expect(made.status.state).toBe('connecting');
      await stops(made, 100);
    });

    it('while it is set up', async () => {
      const made = links.link([links.proxy.url], () => new Promise(() => {}));
      await eventually(() => expect(links.setUps).toBe(1));
      await stops(made);
    });

    it('while the other side is silent', async () => {
      const made = links.link([links.proxy.url]);
      await links.connected(made);
      links.proxy.blackHole();
      await stops(made);
    });

    it('twice, and before it was started', async () => {
      const made = links.link([links.proxy.url]);
      await Promise.all([made.stop(), made.stop()]);
      await new BrokerLink({
        urls: [links.proxy.url],
        service: 'test',
        purpose: 'link',
        open: (model) => model.createChannel(),
        setUp: () => Promise.resolve(),
      }).stop();
    });
  });
});
