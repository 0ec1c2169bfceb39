import { randomUUID } from 'node:crypto';
import { UserRegistered } from '@app/contracts';
import {
  createServiceDatabase,
  createTestVhost,
  eventually,
  reactingService,
  startTcpProxy,
  startTestService,
  userNamed,
  type TcpProxy,
  type TestDatabase,
  type TestService,
  type TestVhost,
} from '@app/testing';

/** SIGTERM leaves 10 s; what the process itself needs comes on top of this. */
const PROMISED_MS = 8_000;

describe('A service that is asked to end while', () => {
  let vhost: TestVhost;
  let database: TestDatabase;
  let broker: TcpProxy;
  let postgres: TcpProxy;
  let service: TestService;
  let react: () => Promise<unknown>;
  beforeEach(async () => {
    [vhost, database] = await Promise.all([createTestVhost(), createServiceDatabase('orders')]);
    [broker, postgres] = await Promise.all([startTcpProxy(vhost.url), startTcpProxy(database.url)]);
    react = () => Promise.resolve();
    service = await startTestService(
      reactingService(UserRegistered, () => react()),
      'orders',
      {
        vhost: { ...vhost, url: broker.url },
        database: { ...database, url: postgres.url },
        env: { BOOKS_INTERVAL_MS: '500' },
      },
    );
  });
  afterEach(async () => {
    for (const proxy of [broker, postgres]) proxy.pass();
    await service.stop();
    await Promise.all([broker.close(), postgres.close()]);
    await Promise.all([vhost.drop(), database.drop()]);
  });

  const timeToStop = async () => {
    const started = performance.now();
    await service.app.close();
    return performance.now() - started;
  };
  /** Something is in its hands, something waits in its memory, something is parked. */
  const isBusy = async () => {
    const begun = new Promise<void>((resolve) => {
      react = () => {
        resolve();
        return new Promise((done) => setTimeout(done, 1_000));
      };
    });
    for (let n = 0; n < 3; n++) await service.deliver(userNamed(randomUUID(), `${n}`));
    await begun;
  };

  it.each<[string, () => void]>([
    ['nothing is wrong', () => {}],
    ['the broker is silent', () => broker.blackHole()],
    ['the broker hears it and cannot answer', () => broker.blackHole('toClient')],
    ['the database is silent', () => postgres.blackHole()],
    [
      'both are silent',
      () => {
        broker.blackHole();
        postgres.blackHole();
      },
    ],
  ])('%s does so in time', async (_, harm) => {
    await isBusy();
    harm();
    expect(await timeToStop()).toBeLessThan(PROMISED_MS);
  });

  it('the database has been silent for a while does so in time', async () => {
    react = () => Promise.reject(new Error('no'));
    await service.deliver(userNamed(randomUUID(), 'parked'));
    await eventually(async () => {
      expect(await service.rows('select from messaging.parked_events')).toHaveLength(1);
    });
    postgres.blackHole();
    await new Promise((resolve) => setTimeout(resolve, 3_000)); // all loops have run into it
    expect(await timeToStop()).toBeLessThan(PROMISED_MS);
  });
});
