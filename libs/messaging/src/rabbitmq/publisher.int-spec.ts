import { createTestVhost, eventually, startTcpProxy, type TcpProxy, type TestVhost } from '@app/testing';
import { Logger } from '@nestjs/common';
import { Publisher, PublishFailedError } from './publisher.js';

Logger.overrideLogger(false);

describe('Publisher', () => {
  let vhost: TestVhost;
  let proxy: TcpProxy;
  let publisher: Publisher;

  beforeEach(async () => {
    vhost = await createTestVhost();
    proxy = await startTcpProxy(vhost.url);
    publisher = new Publisher([`${proxy.url}?heartbeat=0`], 'test', 'publisher', 400);
    publisher.link.start();
    await connected();
  });
  afterEach(async () => {
    await publisher.link.stop();
    await eventually(async () => expect(await vhost.connections()).toEqual([]));
    await proxy.close();
    await vhost.drop();
  });

  const connected = () => eventually(() => expect(publisher.status.state).toBe('connected'), { intervalMs: 5 });
  const publish = (messageId: string, key = 'a.b') =>
    publisher.publish('test.events', key, Buffer.from('{}'), { messageId });
  const failure = (work: Promise<unknown>) =>
    work.then(
      () => Promise.reject(new Error('it was published')),
      (error: PublishFailedError) => error,
    );

  it('tells what was routed from what nobody listens to', async () => {
    await vhost.api('PUT', `queues/${vhost.name}/q`, { durable: true });
    await vhost.api('POST', `bindings/${vhost.name}/e/test.events/q/q`, { routing_key: 'heard.#' });
    expect(await Promise.all([publish('1', 'heard.one'), publish('2', 'unheard'), publish('3', 'heard.two')])).toEqual([
      'routed',
      'unroutable',
      'routed',
    ]);
  });

  it('gives up a broker that does not confirm, and fails everything that was on the way', async () => {
    proxy.blackHole('toClient');
    const failures = await Promise.all(['1', '2', '3'].map((id) => failure(publish(id))));
    expect(failures.map(({ kind }) => kind)).toEqual(['lost', 'lost', 'lost']);
    await eventually(() => expect(publisher.status.reason).toMatch(/no confirm within 0\.4 s/));
    proxy.pass();
    await connected();
    expect(await publish('4')).toBe('unroutable');
  });

  it('says what the broker said when it closes the channel', async () => {
    await vhost.api('DELETE', `exchanges/${vhost.name}/test.events`);
    const { kind, cause } = await failure(publish('1'));
    expect(kind).toBe('lost');
    expect(cause).toMatchObject({ code: 404 });
    await connected();
    expect(await publish('2')).toBe('unroutable'); // the exchange is back
  });

  it('tells what cannot be sent at all, and goes on with the next', async () => {
    expect((await failure(publish('1', 'x'.repeat(300)))).kind).toBe('unsendable');
    expect(await publish('2')).toBe('unroutable');
  });

  it('fails at once while it is not connected', async () => {
    await publisher.link.stop();
    expect(await failure(publish('1'))).toMatchObject({ kind: 'lost', cause: undefined });
  });
});
