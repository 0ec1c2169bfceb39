import { builtApp, eventually, freePort, startServiceProcess, type ServiceProcess } from '@app/testing';
import { firstArrivalsOutOfOrder, startOutbox, type Heard, type OutboxFixture } from './outbox.fixture.js';

jest.setTimeout(90_000);

/** With real processes, which are killed and stopped; the relay that takes over from them is in this one. */
describe('Relay', () => {
  let outbox: OutboxFixture;
  let heard: Heard[];
  let processes: ServiceProcess[];

  beforeAll(() => builtApp('users'), 180_000);
  beforeEach(async () => {
    outbox = await startOutbox();
    heard = await outbox.listen();
    processes = [];
  });
  afterEach(async () => {
    for (const { pid } of processes) signal(pid, 'SIGCONT');
    await Promise.all(processes.map((started) => started.stop('SIGKILL')));
    await outbox.stop();
  });

  const start = async (failpoints = '') => {
    const started = await startServiceProcess('users', {
      port: await freePort(),
      databaseUrl: outbox.databaseUrl,
      rabbitmqUrl: outbox.vhost.url,
      env: { ROLES: 'relay', NODE_ENV: 'test', FAILPOINTS: failpoints },
      doNotWait: failpoints !== '',
    });
    processes.push(started);
    return started;
  };
  const signal = (pid: number, name: NodeJS.Signals) => {
    try {
      process.kill(pid, name);
    } catch {
      // it is gone
    }
  };
  const isActive = async ({ http }: ServiceProcess) => {
    const { body } = await http('GET', '/health/ready');
    return (body as { checks: { relay: { active: boolean } } }).checks.relay.active;
  };
  /** A process that publishes, and a relay that stands by. */
  const pair = async () => {
    const active = await start();
    await eventually(async () => expect(await isActive(active)).toBe(true));
    const standby = outbox.relay();
    standby.start();
    await eventually(() => expect(standby.status.broker.state).toBe('connected'));
    return [active, standby] as const;
  };
  const arrived = (events: number, timeoutMs: number) =>
    eventually(
      () => {
        expect(heard.length).toBeGreaterThanOrEqual(events);
        expect(new Set(heard.map(({ id }) => id)).size).toBe(events);
      },
      { timeoutMs, intervalMs: 5 },
    );
  const within = async (limitMs: number, work: () => Promise<unknown>) => {
    const started = performance.now();
    await work();
    const took = performance.now() - started;
    expect(took).toBeLessThan(limitMs);
  };

  it('is taken over within 2 s when its process is killed under load', async () => {
    const [active, standby] = await pair();
    await outbox.fill(10_000);
    await eventually(() => expect(heard.length).toBeGreaterThan(500), { intervalMs: 1 });
    expect(standby.status).toMatchObject({ active: false, published: 0 });
    signal(active.pid, 'SIGKILL');
    await within(2_000, () => eventually(() => expect(standby.status.active).toBe(true), { intervalMs: 5 }));
    await arrived(10_000, 20_000);
    await outbox.emptied();
    expect(firstArrivalsOutOfOrder(heard)).toEqual([]);
  });

  it('is taken over within 15 s when its process hangs, and stands by when it comes back', async () => {
    const [active, standby] = await pair();
    signal(active.pid, 'SIGSTOP');
    await outbox.fill(100);
    await within(15_000, () => arrived(100, 16_000));
    signal(active.pid, 'SIGCONT');
    await outbox.fill(1_000);
    await arrived(1_100, 5_000);
    await outbox.emptied();
    expect(standby.status.active).toBe(true);
    expect(await isActive(active)).toBe(false);
    expect(firstArrivalsOutOfOrder(heard)).toEqual([]);
  });

  it.each([
    ['after it has read', 'relay.afterRead=kill@2', 0],
    ['after it has published', 'relay.afterPublish=kill@20', 1],
    ['after the broker has confirmed', 'relay.afterConfirm=kill@5', 1],
  ])('loses nothing when it is killed %s', async (_, failpoint, duplicates) => {
    const doomed = await start(failpoint);
    await outbox.fill(1_000);
    await outbox.fill(4_000);
    expect(await doomed.exit).toMatchObject({ signal: 'SIGKILL' });
    const seen = heard.length;
    outbox.relay().start();
    await outbox.emptied(20_000);
    await arrived(5_000, 5_000);
    expect(heard.length).toBeGreaterThanOrEqual(5_000 + duplicates);
    expect(seen).toBeLessThan(heard.length);
    expect(firstArrivalsOutOfOrder(heard)).toEqual([]);
  });

  it('ends within 10 s and in order when it is asked to under load', async () => {
    const asked = await start();
    await outbox.fill(30_000);
    await eventually(() => expect(heard.length).toBeGreaterThan(500), { intervalMs: 1 });
    await within(10_000, async () => {
      expect(await asked.stop('SIGTERM')).toEqual({ code: 0, signal: null });
    });
    const left = await outbox.pending();
    expect(left).toBeGreaterThan(0);
    await arrived(30_000 - left, 5_000);
    expect(heard).toHaveLength(30_000 - left);
  });
});
