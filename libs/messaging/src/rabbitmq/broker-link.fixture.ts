// For tests: links to a vhost of their own, through a proxy that can do harm.
import { createTestVhost, eventually, startTcpProxy } from '@app/testing';
import { Logger } from '@nestjs/common';
import type { Channel } from 'amqplib';
import { BrokerLink } from './broker-link.js';

Logger.overrideLogger(false);

export const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

export type LinksFixture = Awaited<ReturnType<typeof startLinks>>;

export async function startLinks() {
  const vhost = await createTestVhost();
  const proxy = await startTcpProxy(vhost.url);
  let links: BrokerLink[] = [];
  let setUps = 0;
  return {
    vhost,
    proxy,
    /** Set-ups since the last `reset`. */
    get setUps() {
      return setUps;
    },
    /** A link that has been started. */
    link: (urls: string[], setUp: (channel: Channel) => Promise<unknown> = () => Promise.resolve()) => {
      const link = new BrokerLink({
        urls,
        service: 'test',
        purpose: 'link',
        open: (model) => model.createChannel(),
        setUp: async (channel) => {
          setUps++;
          await setUp(channel);
        },
      });
      links.push(link);
      link.start();
      return link;
    },
    connected: (link: BrokerLink, timeoutMs = 5_000) =>
      eventually(() => expect(link.status).toEqual({ state: 'connected' }), { timeoutMs, intervalMs: 5 }),
    because: (link: BrokerLink, reason: RegExp) =>
      eventually(() => expect(link.status.reason).toMatch(reason), { timeoutMs: 5_000, intervalMs: 5 }),
    timed: async (work: Promise<unknown>) => {
      const started = performance.now();
      await work;
      return performance.now() - started;
    },
    /** Between tests: stops every link and throws if a connection is left. */
    reset: async () => {
      await Promise.all(links.map((link) => link.stop()));
      links = [];
      setUps = 0;
      proxy.pass();
      await eventually(() => expect(proxy.connections).toBe(0));
      await eventually(async () => expect(await vhost.connections()).toEqual([]));
    },
    stop: async () => {
      await proxy.close();
      await vhost.drop();
    },
  };
}
