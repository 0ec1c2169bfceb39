import { randomUUID } from 'node:crypto';
import { eventually } from '@app/testing';
import { behaviour, startShop, type Shop } from './shop.fixture.js';

let shop: Shop;
beforeEach(async () => (shop = await startShop()));
afterEach(() => shop.stop());

const GREET = 'reaction:GreetUser';
const pause = (scope: string, reason = 'a bug') => shop.ops('POST', '/pause', { scope, reason });
const resume = (scope: string) => shop.ops('POST', '/resume', { scope });

interface Ready {
  status: string;
  checks: { pauses: { status: string; reason?: string } };
}
const ready = async () => (await shop.ready()).body as Ready;

describe('a paused reaction', () => {
  it('has its events parked with their streams; everything else flows, and it drains by itself', async () => {
    const [known, fresh] = [randomUUID(), randomUUID()];
    await shop.register(known);
    await eventually(async () => expect(await shop.effects()).toHaveLength(1));
    expect((await pause(GREET)).body).toEqual({ affected: 1 });

    await shop.register(fresh, 'Bob');
    await shop.move(fresh, 'Oslo');
    await shop.move(known, 'Rome');
    await eventually(async () => expect(await shop.effects(known)).toEqual(['greeted Ann', 'moved to Rome']));
    await eventually(async () => expect(await shop.parked()).toHaveLength(2));
    expect(await shop.parked()).toMatchObject([
      { state: 'waiting', sequence: 1, error: 'GreetUser is paused by http 127.0.0.1: a bug' },
      { state: 'waiting', sequence: 2, error: null },
    ]);
    expect(await ready()).toMatchObject({
      status: 'degraded',
      checks: { pauses: { status: 'degraded', reason: `${GREET} is paused by http 127.0.0.1: a bug` } },
    });
    expect(await shop.metrics()).toContain(`paused{scope="${GREET}"} 1`);

    await resume(GREET);
    await eventually(async () => expect(await shop.effects(fresh)).toEqual(['greeted Bob', 'moved to Oslo']));
    expect(await shop.parked()).toEqual([]);
    expect(await ready()).toMatchObject({ status: 'ok' });
    expect(await shop.metrics()).not.toContain('paused{');
  });

  it('does not use up attempts of its events, however long it takes', async () => {
    await pause(GREET);
    await shop.register(randomUUID());
    await eventually(async () => expect(await shop.parked()).toHaveLength(1));
    await new Promise((resolve) => setTimeout(resolve, 1_500)); // several rounds of the workers
    expect(await shop.parked()).toMatchObject([{ attempts: 0, state: 'waiting' }]);
  });

  it('is noticed within two seconds by a process that was not told', async () => {
    const sql = `insert into messaging.pauses (scope, reason, by) values ('${GREET}', 'from outside', 'alice')`;
    await shop.rows(sql);
    await eventually(async () => expect((await ready()).status).toBe('degraded'), { timeoutMs: 2_000 });
    await shop.register(randomUUID());
    await eventually(async () => expect(await shop.parked()).toHaveLength(1));
    await shop.rows('delete from messaging.pauses');
    await eventually(async () => expect(await shop.effects()).toHaveLength(1));
  });
});

describe('a paused inbox', () => {
  it('leaves events in the queue, starts no parked ones, and goes on by itself', async () => {
    behaviour.greet = () => Promise.reject(new Error('not now'));
    const held = randomUUID();
    await shop.register(held);
    await eventually(async () => expect(await shop.parked()).toHaveLength(1));
    await pause('inbox:orders');
    behaviour.greet = () => {};
    await shop.register(randomUUID());
    await eventually(async () => {
      const queue = (await shop.vhost.queues()).find(({ name }) => name === 'orders.inbox');
      expect(queue).toMatchObject({ messages_ready: 1, consumers: 0 });
    });
    await new Promise((resolve) => setTimeout(resolve, 1_500)); // the first retry would be due
    expect(await shop.effects()).toEqual([]);
    expect((await ready()).checks.pauses.reason).toContain('inbox:orders is paused');
    await resume('inbox:orders');
    await eventually(async () => expect(await shop.effects()).toHaveLength(2));
  });
});

describe('pausing', () => {
  it('needs a scope that exists and a reason, and is written into the audit', async () => {
    expect(await pause('reaction:GreetUsers')).toMatchObject({
      status: 400,
      body: {
        detail: `There is no "reaction:GreetUsers" here. What can be paused: relay, inbox:orders, reaction:FollowUser, ${GREET}`,
      },
    });
    expect(await shop.ops('POST', '/pause', { scope: GREET })).toMatchObject({ status: 400 });
    expect(await resume(GREET)).toMatchObject({ status: 404, body: { detail: `"${GREET}" is not paused.` } });
    await pause(GREET);
    expect((await pause(GREET, 'another')).body).toEqual({ affected: 0 });
    await resume(GREET);
    const audit = await shop.rows('select who, action, parameters, reason from messaging.audit order by id');
    expect(audit).toEqual([
      { who: 'http 127.0.0.1', action: 'pause', parameters: { scope: GREET }, reason: 'a bug' },
      { who: 'http 127.0.0.1', action: 'resume', parameters: { scope: GREET }, reason: null },
    ]);
  });
});

describe('the kill switch', () => {
  const fail = () => Promise.reject(new Error('broken'));
  /** Twice: an attempt is counted before the reaction runs, so that the second says that the first has ended. */
  const failAgain = async ({ id, attempts }: { id: string; attempts: number }) => {
    for (const more of [1, 2]) {
      await eventually(async () => expect((await shop.ops('POST', `/parked/${id}/retry`)).status).toBe(200));
      await eventually(async () => {
        const now = (await shop.parked()).find((row) => row.id === id);
        expect(now?.attempts).toBeGreaterThanOrEqual(attempts + more);
      });
    }
  };

  it('pauses a reaction that fails more than half of its last 100 events, and nothing else', async () => {
    behaviour.greet = (name) => (name === 'Eve' ? fail() : undefined);
    for (let i = 0; i < 50; i++) await shop.register(randomUUID(), 'Eve');
    await eventually(async () => expect(await shop.parked()).toHaveLength(50), { timeoutMs: 20_000 });
    await failAgain((await shop.parked())[0]!);
    expect(await shop.rows('select from messaging.pauses')).toEqual([]); // an event that fails again and again counts once
    expect((await ready()).status).toBe('ok');
    await shop.register(randomUUID(), 'Eve');
    await eventually(async () => expect((await ready()).status).toBe('degraded'));
    const [pauses] = await shop.rows('select scope, by, reason from messaging.pauses');
    expect(pauses).toEqual({ scope: GREET, by: 'kill switch', reason: 'failed 51 of its last 51 events' });
    const [audit] = await shop.rows(`select who, action from messaging.audit where action = 'pause'`);
    expect(audit).toEqual({ who: 'kill switch', action: 'pause' });
    expect(await shop.metrics()).toMatch(/reaction_failures_total\{reaction="GreetUser"\} \d\d+/);

    const user = randomUUID();
    await shop.move(user);
    await eventually(async () => expect(await shop.effects(user)).toEqual(['moved to Rome']));
    behaviour.greet = () => {};
    await resume(GREET);
    await shop.ops('POST', '/parked/retry', { confirm: true });
    await eventually(async () => expect(await shop.effects()).toHaveLength(52), { timeoutMs: 20_000 });
    expect((await ready()).status).toBe('ok');
  }, 60_000);
});
