import type { Channel } from 'amqplib';
import { startLinks, wait, type LinksFixture } from './broker-link.fixture.js';
import type { BrokerLink } from './broker-link.js';

describe('BrokerLink, when it cannot connect, says what to do, and does not hammer the broker', () => {
  let links: LinksFixture;
  beforeAll(async () => (links = await startLinks()));
  afterEach(() => links.reset());
  afterAll(() => links.stop());

  const attempts = async (made: BrokerLink, reason: RegExp) => {
    const before = links.proxy.accepted;
    await links.because(made, reason);
    await wait(600);
    await links.because(made, reason);
    expect(links.proxy.accepted - before).toBeLessThan(15);
  };
  const user = { name: 'test-limited', password: 'secret' };
  const asUser = (password: string) => {
    const url = new URL(links.proxy.url);
    url.username = user.name;
    url.password = password;
    return url.href;
  };
  beforeAll(() => links.vhost.api('PUT', `users/${user.name}`, { password: user.password, tags: '' }));
  afterAll(() => links.vhost.api('DELETE', `users/${user.name}`));

  it('about a queue with other settings', async () => {
    await links.vhost.api('PUT', `queues/${links.vhost.name}/other`, { durable: true });
    const declare = (channel: Channel) =>
      channel.assertQueue('other', { durable: true, arguments: { 'x-queue-type': 'quorum' } });
    await attempts(
      links.link([links.proxy.url], declare),
      /PRECONDITION.FAILED.*delete it in the management UI.*third parties.* go with it/,
    );
  });

  it('about a virtual host that does not exist', async () => {
    await attempts(
      links.link([links.proxy.url.replace(links.vhost.name, 'nowhere')]),
      /"nowhere".*does not exist.*Check the end of RABBITMQ_URL/,
    );
  });

  it('about a user without access to the virtual host', async () => {
    await attempts(links.link([asUser(user.password)]), /the user may not use it.*permissions of the virtual host/);
  });

  it('about an unknown user or a wrong password, without telling it', async () => {
    const made = links.link([asUser('not-the-secret')]);
    await attempts(made, /Login was refused.*Check user and password/);
    expect(made.status.reason).not.toMatch(/secret/);
  });

  it('about missing permissions, and goes on when they are given', async () => {
    const permit = (configure: string) =>
      links.vhost.api('PUT', `permissions/${links.vhost.name}/${user.name}`, { configure, write: '.*', read: '.*' });
    await permit('');
    const made = links.link([asUser(user.password)], (channel) => channel.assertExchange('mine', 'topic'));
    await attempts(made, /ACCESS.REFUSED.*needs configure, write and read permission/);
    await permit('.*');
    await links.connected(made, 8_000);
  });
});
