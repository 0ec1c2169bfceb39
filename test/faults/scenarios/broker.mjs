import { rmSync } from 'node:fs';
import path from 'node:path';
import { withinTwoMinutes } from './two-minutes.mjs';

/** @typedef {import('../harness/trial.mjs').Trial} Trial */

/** How often a service has connected to the broker for a purpose. @param {Trial} trial @param {string} id @param {string} purpose */
const connects = (trial, id, purpose) =>
  trial
    .service(id)
    .log()
    .split('\n')
    .filter((line) => line.includes(`"RabbitMQ ${purpose}"`) && line.includes('"msg":"connected"')).length;

/** Faults of the broker that its machine or its operator causes. @type {import('../harness/types.js').Scenario[]} */
export const brokerScenarios = [
  {
    name: 'broker-restarts',
    what: 'RabbitMQ is stopped and started again three times (stop_app, start_app), with three seconds in between.',
    notice: 'Effects wait until it is back; commands are answered as always.',
    target: 30,
    seconds: 15,
    short: true,
    load: { seconds: 25 },
    async run(trial) {
      await trial.load.reached(0.2);
      for (let times = 0; times < 3; times++) {
        await trial.broker.ctl('stop_app');
        await trial.sleep(3);
        await trial.broker.ctl('start_app');
      }
      trial.healed();
      await trial.consumer.ready();
      const times = connects(trial, 'consumer', 'consumer');
      trial.prove(times >= 2, `the consumer connected ${times} times`);
    },
  },
  {
    name: 'broker-killed',
    what: 'RabbitMQ is killed with SIGKILL under load and started again after ten seconds.',
    notice: 'Effects wait until it is back; commands are answered as always.',
    target: 30,
    seconds: 20,
    ownServers: true,
    load: { seconds: 30 },
    async run(trial) {
      await trial.load.reached(0.3);
      await trial.servers.node.kill9();
      const { unknowns } = trial.load;
      await trial.sleep(10);
      const waiting = await trial.count('producer', 'select count(*) from messaging.outbox');
      trial.prove(
        waiting > 0 && trial.load.unknowns === unknowns,
        `no command failed while the broker was dead, ${waiting} events waited in the outbox`,
      );
      await trial.servers.node.start();
      trial.healed();
    },
  },
  {
    name: 'broker-absent-at-start',
    what: 'Both services start while there is no broker; it comes after fifteen seconds.',
    notice:
      'Commands are answered from the start; the services say that they are degraded, and effects wait. What is published before the consumer has declared its queue reaches it by the books.',
    target: 45,
    seconds: 30,
    books: 1_000,
    ownServers: true,
    load: { manual: true },
    services: { producer: { manual: true }, consumer: { manual: true } },
    async run(trial) {
      await trial.servers.node.kill9();
      await Promise.all([trial.producer.start(), trial.consumer.start()]);
      const { checks } = await trial.producer.ready({ status: 'degraded' });
      await trial.consumer.ready({ status: 'degraded' });
      trial.load.start();
      await trial.load.reached(0.5);
      await trial.sleep(10);
      const { unknowns, outcomes } = trial.load;
      trial.prove(unknowns === 0, `"${checks.relay.reason}"; ${outcomes.size} commands were answered without a broker`);
      await trial.servers.node.start();
      trial.healed();
      trial.prove(trial.producer.ends.length + trial.consumer.ends.length === 0, 'no process ended');
    },
  },
  {
    name: 'memory-alarm',
    what: 'RabbitMQ runs out of memory and blocks publishers for fifteen seconds; a relay is stopped meanwhile.',
    notice: 'Effects of new commands wait until the alarm is over; commands are answered as always.',
    target: 30,
    seconds: 20,
    ownServers: true,
    load: { seconds: 25 },
    services: {
      producer: { env: { ROLES: 'api,inbox,workers' } },
      relay: { service: 'producer', env: { ROLES: 'relay' } },
      consumer: {},
    },
    run: (trial) => alarm(trial, ['set_vm_memory_high_watermark', '0.00001'], ['set_vm_memory_high_watermark', '0.4']),
  },
  {
    name: 'disk-alarm',
    what: 'RabbitMQ runs out of disk and blocks publishers for fifteen seconds; a relay is stopped meanwhile.',
    notice: 'Effects of new commands wait until the alarm is over; commands are answered as always.',
    target: 30,
    seconds: 20,
    ownServers: true,
    load: { seconds: 25 },
    services: {
      producer: { env: { ROLES: 'api,inbox,workers' } },
      relay: { service: 'producer', env: { ROLES: 'relay' } },
      consumer: {},
    },
    run: (trial) => alarm(trial, ['set_disk_free_limit', '9999GB'], ['set_disk_free_limit', '50MB']),
  },
  {
    name: 'connections-closed',
    what: 'An operator closes all connections twenty times, every second (close_all_connections).',
    notice: 'Effects arrive a little later; commands are answered as always.',
    target: 30,
    seconds: 20,
    load: { seconds: 45 },
    async run(trial) {
      await trial.load.reached(0.1);
      for (let times = 0; times < 20; times++) {
        await trial.broker.ctl('close_all_connections', '--vhost', trial.vhost, 'fault suite');
        await trial.sleep(1);
      }
      trial.healed();
      const times = connects(trial, 'consumer', 'consumer');
      trial.prove(times >= 3, `closed 20 times; the consumer connected ${times} times`);
    },
  },
  {
    name: 'queue-full',
    what: 'The queue of one inbox takes no more than twenty messages (policy, reject-publish) while its service is suspended.',
    notice: 'Effects wait, also those of other inboxes, until there is room again; nothing is lost.',
    target: 60,
    seconds: 15,
    load: { seconds: 18 },
    services: { producer: {}, consumer: {}, latecomer: {} },
    async run(trial) {
      const policy = {
        pattern: '^consumer\\.inbox$',
        definition: { 'max-length': 20, overflow: 'reject-publish' },
        'apply-to': 'queues',
      };
      await trial.broker.api('PUT', `policies/${trial.vhost}/small`, policy);
      trial.consumer.signal('SIGSTOP');
      const waiting = await trial.until('events pile up in the outbox', async () => {
        const count = await trial.count('producer', 'select count(*) from messaging.outbox');
        return count > 20 && count;
      });
      await trial.sleep(5);
      trial.consumer.signal('SIGCONT');
      await trial.sleep(3);
      await trial.broker.api('DELETE', `policies/${trial.vhost}/small`);
      trial.healed();
      trial.prove(waiting > 0, `the queue was full, ${waiting} events waited in the outbox`);
      await trial.load.done();
      const dropped = await trial.until('the other inbox gets copies', () =>
        trial.metric('latecomer', 'inbox_duplicates_total'),
      );
      trial.prove(dropped > 0, `another service dropped ${dropped} copies`);
    },
  },
  {
    name: 'broker-wiped',
    what: 'RabbitMQ loses its data folder: exchanges, queues and everything in them are gone; it comes back empty.',
    ownServers: true,
    ...withinTwoMinutes,
    load: { seconds: 12 },
    async run(trial) {
      await trial.load.reached(0.3);
      trial.consumer.signal('SIGSTOP');
      await trial.sleep(2);
      const applied = await trial.count('consumer', `select count(*) from effects where reaction = 'Record'`);
      const published = await trial.count(
        'producer',
        `select (select count(*) from messaging.events) - (select count(*) from messaging.outbox)`,
      );
      await trial.servers.node.kill9();
      rmSync(path.join(trial.servers.dir, 'rabbitmq/data'), { recursive: true, force: true });
      await trial.servers.node.start();
      await trial.broker.createVhost(trial.vhost);
      trial.consumer.signal('SIGCONT');
      trial.healed();
      trial.prove(published > applied, `${published - applied} events were in the broker when it was wiped`);
      await trial.until('the events are pulled', () => trial.consumer.count(/pulling them from the log/g), 90);
    },
  },
];

/** @param {Trial} trial @param {string[]} raise @param {string[]} lower */
async function alarm(trial, raise, lower) {
  await trial.load.reached(0.2);
  await trial.broker.ctl(...raise);
  const { checks } = await trial.until('the relay is blocked', async () => {
    const health = await trial.service('relay').health();
    return health?.status === 'degraded' && health;
  });
  const started = Date.now();
  const { code, signal } = await trial.service('relay').stop();
  const seconds = (Date.now() - started) / 1_000;
  if (code !== 0) throw new Error(`SIGTERM of a blocked relay: ${signal ?? code} after ${seconds} s`);
  await trial.service('relay').start();
  await trial.sleep(10);
  const { unknowns } = trial.load;
  await trial.broker.ctl(...lower);
  trial.healed();
  trial.prove(unknowns === 0, `"${checks.relay.reason}"; it stopped in ${seconds.toFixed(1)} s, and no command failed`);
}
