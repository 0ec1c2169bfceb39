import { HealthRegistry } from './health.js';

const up = { status: 'up' } as const;

describe('readiness', () => {
  afterEach(() => jest.useRealTimers());

  it('is ok when everything is up, and when there is nothing to check', async () => {
    const registry = new HealthRegistry();
    expect(await registry.readiness()).toEqual({ status: 'ok', checks: {} });
    registry.register('database', () => up);
    expect(await registry.readiness()).toEqual({ status: 'ok', checks: { database: up } });
  });

  it('is as good as the worst check', async () => {
    const registry = new HealthRegistry();
    registry.register('database', () => up);
    registry.register('relay', () => ({ status: 'degraded', reason: '1 000 events wait', waiting: 1000 }));
    expect(await registry.readiness()).toMatchObject({ status: 'degraded', checks: { relay: { waiting: 1000 } } });
    registry.register('broker', () => ({ status: 'down', reason: 'not connected' }));
    expect(await registry.readiness()).toMatchObject({ status: 'error' });
  });

  it('takes a check that throws or rejects as down, with the reason', async () => {
    const registry = new HealthRegistry();
    registry.register('a', () => {
      throw new Error('boom');
    });
    registry.register('b', () => Promise.reject(new Error('refused')));
    expect(await registry.readiness()).toEqual({
      status: 'error',
      checks: { a: { status: 'down', reason: 'boom' }, b: { status: 'down', reason: 'refused' } },
    });
  });

  it('takes a check that hangs as down, and does not start it again until it has ended', async () => {
    jest.useFakeTimers();
    const registry = new HealthRegistry();
    let finish: (health: typeof up) => void = () => {};
    const check = jest.fn(() => new Promise<typeof up>((resolve) => (finish = resolve)));
    registry.register('database', check);
    for (let probe = 0; probe < 2; probe++) {
      const readiness = registry.readiness();
      await jest.advanceTimersByTimeAsync(2000);
      expect((await readiness).checks.database).toEqual({ status: 'down', reason: 'no answer within 2000 ms' });
    }
    expect(check).toHaveBeenCalledTimes(1);
    finish(up);
    await jest.advanceTimersByTimeAsync(0);
    const readiness = registry.readiness();
    finish(up);
    expect((await readiness).status).toBe('ok');
    expect(check).toHaveBeenCalledTimes(2);
  });

  it('ends when the service shuts down', async () => {
    const registry = new HealthRegistry();
    registry.register('database', () => up);
    registry.onModuleDestroy();
    expect(await registry.readiness()).toMatchObject({ status: 'shutting_down' });
  });
});
