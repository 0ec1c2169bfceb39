// When is it over? When nothing waits anywhere, and everything that was told was heard.
import { eventually } from '@app/testing';
import type { Sandbox } from '../../apps/orders/src/orders.fixture.js';
import type { Shop } from '../shop.js';

const WAITING = {
  'open orders': `select count(*) from orders where status like 'awaiting-%'`,
  'refunds under way': `select count(*) from payments where status = 'refunding'`,
  'calls to the provider': 'select count(*) from payment_requests',
  timers: 'select count(*) from messaging.timers',
};
const ON_THE_ROAD = {
  'in the outbox': 'select count(*) from messaging.outbox',
  parked: 'select count(*) from messaging.parked_events',
};
const told = (aggregate: string) => `select count(*) from messaging.events where aggregate = '${aggregate}'`;

/** @throws with what is still under way when the time is over */
export async function untilAtRest(shop: Shop, sandbox: Sandbox, timeoutMs: number): Promise<void> {
  const count = async (service: 'users' | 'orders', sql: string) =>
    Number((await shop.rows<{ count: string }>(service, sql))[0]!.count);
  const waiting = async () => {
    const found: Record<string, number> = {};
    for (const [what, sql] of Object.entries(WAITING)) found[what] = await count('orders', sql);
    for (const service of ['users', 'orders'] as const) {
      for (const [what, sql] of Object.entries(ON_THE_ROAD)) found[`${service}: ${what}`] = await count(service, sql);
    }
    const ofUsers = (await count('users', told('users.user'))) + (await count('orders', told('orders.deadline')));
    found['events not heard by orders'] = ofUsers - (await shop.applied('orders'));
    found['events not heard by users'] = (await count('orders', told('orders.order'))) - (await shop.applied('users'));
    found['payments not reported'] = await unreported(shop, sandbox);
    return Object.entries(found).filter(([, number]) => number !== 0);
  };
  await eventually(
    async () => {
      const left = await waiting();
      if (left.length > 0) throw new Error(left.map(([what, number]) => `${number} ${what}`).join(', '));
    },
    { timeoutMs, intervalMs: 250 },
  );
}

/** Payments that the provider has decided about, or will, and orders has not heard of. */
async function unreported(shop: Shop, sandbox: Sandbox): Promise<number> {
  const open = await shop.rows<{ id: string }>(
    'orders',
    `select id from payments where status = 'pending' and held is null`,
  );
  const silent = new Set(open.map(({ id }) => id));
  return (await sandbox.payments()).filter(({ paymentId, mode }) => mode !== 'timeout' && silent.has(paymentId)).length;
}
