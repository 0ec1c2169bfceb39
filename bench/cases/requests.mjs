// The real services over HTTP: how many registrations, whatever happens behind them, and how soon the other service knows.
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
// @ts-expect-error it has no types
import autocannon from 'autocannon';
import { startOwnRabbitMq } from '../../tools/infrastructure/rabbitmq.mjs';
import { record } from '../harness/backlog.mjs';
import { runDir } from '../harness/servers.mjs';
import { quantile } from '../harness/statistics.mjs';
import { System } from '../harness/system.mjs';
import { percent } from '../harness/text.mjs';

/** @typedef {import('../harness/measure.mjs').Context} Context */
/** @typedef {import('../harness/service.mjs').Service} Service */

const CONNECTIONS = 64;

/** Never the same twice. */
let registrations = 0;

/** `POST /users`. @param {Service} users @param {number} seconds */
async function register(users, seconds) {
  const result = await autocannon({
    url: `${users.url}/users`,
    connections: CONNECTIONS,
    duration: seconds,
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    requests: [
      {
        setupRequest: (/** @type {object} */ request) => {
          registrations += 1;
          return { ...request, body: JSON.stringify({ name: 'Alice', email: `alice${registrations}@example.com` }) };
        },
      },
    ],
  });
  const { '2xx': ok, non2xx, errors, timeouts, duration, latency } = result;
  if (ok === 0 || non2xx + errors + timeouts > 0)
    throw new Error(`${non2xx} requests were refused, ${errors} failed, ${timeouts} had no answer; ${ok} succeeded`);
  return { perSecond: ok / duration, p50: latency.p50, p99: latency.p99 };
}

/** @param {Context} context @param {{ service: 'users' | 'bare-users', seconds: number }} options */
export const postUsers = (context, { service, seconds }) =>
  System.use(context, async (system) => {
    const users = await system.start('users', { BENCH_SERVICE: service });
    await register(users, 2);
    context.tell(`${CONNECTIONS} connections for ${seconds} s`);
    return register(users, seconds);
  });

/**
 * Undisturbed, with RabbitMQ stopped, with a million events that wait besides. It has a RabbitMQ of its own: what was measured after a
 * restart of the common one was refused by it (541) once many queues had come and gone.
 * @param {Context} context
 * @param {{ seconds: number, waiting: number }} options
 */
export const disturbed = (context, { seconds, waiting }) =>
  System.use(context, async (system) => {
    const { servers, tell } = context;
    tell('starts another RabbitMQ');
    const dataDir = path.join(runDir, servers.name('rabbitmq'));
    const rabbitmq = await startOwnRabbitMq({ dataDir, ports: { amqp: 0, management: 0 }, log: () => {} });
    try {
      const users = await system.start('users', { RABBITMQ_URL: rabbitmq.url });
      await register(users, 2);
      tell('undisturbed');
      const undisturbed = await register(users, seconds);
      tell('stops RabbitMQ');
      await rabbitmq.stop();
      tell('RabbitMQ is stopped');
      const stopped = await register(users, seconds);
      await record(system, {
        service: 'users',
        events: waiting,
        tell: (share) => tell(`records what waits ${percent(share)}`),
      });
      tell(`${waiting} events wait`);
      const behind = await register(users, seconds);
      return {
        undisturbed: undisturbed.perSecond,
        stopped: stopped.perSecond,
        waiting: behind.perSecond,
        waitingP99: behind.p99,
        undisturbedP99: undisturbed.p99,
      };
    } finally {
      await rabbitmq.remove();
    }
  });

const ORDERS = { PAYMENT_WEBHOOK_SECRET: 'whsec_Zm9yIHRoZSBzYW5kYm94LCBub3RoaW5nIGVsc2U=' };

/** From the 2xx of `POST /users` to the customer in `orders`, in ms, one at a time. @param {Context} context @param {{ users: number }} options */
export const registration = (context, { users: count }) =>
  System.use(context, async (system) => {
    const [users, orders] = await Promise.all([system.start('users'), system.start('orders', ORDERS)]);
    const latencies = [];
    for (let index = -50; index < count; index++) {
      registrations += 1;
      const { id } = await users.post('users', { name: 'Alice', email: `bob${registrations}@example.com` });
      const since = performance.now();
      for (;;) {
        const answer = await fetch(`${orders.url}/customers/${id}`);
        await answer.arrayBuffer();
        if (answer.ok) break;
        if (performance.now() - since > 30_000)
          throw new Error(`orders does not know ${id}\n${orders.log().slice(-2_000)}`);
        await sleep(1);
      }
      if (index >= 0) latencies.push(performance.now() - since);
      context.tell(`${Math.max(0, index)} of ${count}`);
    }
    return { p50: quantile(latencies, 0.5), p99: quantile(latencies, 0.99), max: Math.max(...latencies) };
  });
