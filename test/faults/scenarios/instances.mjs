import { readFileSync } from 'node:fs';
import { publishAgain } from '../harness/courier.mjs';
import { randomFrom } from '../harness/random.mjs';

/** @typedef {import('../harness/trial.mjs').Trial} Trial */

/** Four processes of the consumer: one takes the queue, the others stand by; all retry what is parked. */
const four = {
  consumer: {},
  'consumer-b': { service: 'consumer' },
  'consumer-c': { service: 'consumer' },
  'consumer-d': { service: 'consumer' },
};

/** Several processes of one service, and processes that only seem to be alive. @type {import('../harness/types.js').Scenario[]} */
export const instanceScenarios = [
  {
    name: 'duplicates-on-four-instances',
    what: 'The consumer runs four times, everything is delivered a second time under load, and the processes are killed in turn.',
    notice: 'Nothing but short delays.',
    target: 30,
    seconds: 10,
    load: { seconds: 10 },
    services: { producer: {}, ...four },
    async run(trial) {
      const random = randomFrom(`${trial.seed}/again`);
      let sent = 0;
      for (const [share, id] of /** @type {const} */ ([
        [0.2, 'consumer'],
        [0.4, 'consumer-b'],
        [0.6, 'consumer-c'],
        [0.9, 'consumer-d'],
      ])) {
        await trial.load.reached(share);
        const ids = (await trial.rows('producer', 'select id from messaging.events')).map((row) => row.id);
        sent += await publishAgain(trial, random.shuffle(ids));
        await trial.service(id).kill();
      }
      trial.healed();
      trial.prove(sent > 0, `${sent} events were published again in random order, four processes were killed`);
    },
  },
  {
    name: 'scaled-up-and-down',
    what: 'The number of consumer processes goes from one to four and back, twice, with SIGTERM.',
    notice: 'Nothing.',
    target: 30,
    seconds: 15,
    load: { seconds: 20 },
    services: {
      producer: {},
      ...Object.fromEntries(
        Object.entries(four).map(([id, o]) => [id, id === 'consumer' ? {} : { ...o, manual: true }]),
      ),
    },
    async run(trial) {
      const others = ['consumer-b', 'consumer-c', 'consumer-d'].map((id) => trial.service(id));
      /** @type {(number | null)[]} */
      const codes = [];
      for (let round = 0; round < 2; round++) {
        await Promise.all(others.map((service) => service.start()));
        await Promise.all(others.map((service) => service.ready()));
        // The one that has the queue goes first, so that it is handed on.
        codes.push((await trial.consumer.stop()).code);
        await trial.sleep(1);
        await trial.consumer.start();
        await trial.consumer.ready();
        for (const service of others) codes.push((await service.stop()).code);
      }
      trial.healed();
      trial.prove(
        codes.every((code) => code === 0),
        `${codes.length} processes ended in order, two of them in front of three that stood by`,
      );
    },
  },
  {
    name: 'consumer-suspended-in-transaction',
    what: 'The consumer is suspended (SIGSTOP) in front of a COMMIT for 40 seconds; a second process stands by.',
    notice: 'For about 20 s nothing arrives; the streams of the suspended batch stand still for 30 s at most.',
    target: 30,
    seconds: 40,
    load: { seconds: 50 },
    services: {
      producer: {},
      consumer: { failpoints: ['inbox.beforeCommit=stop@20'] },
      'consumer-b': { service: 'consumer', manual: true },
    },
    async run(trial) {
      const { consumer } = trial;
      await trial.until('the consumer is suspended', () => isSuspended(consumer.pid));
      const before = await records(trial);
      await trial.service('consumer-b').start();
      await trial.sleep(40);
      const meanwhile = await records(trial);
      consumer.signal('SIGCONT');
      trial.healed();
      trial.prove(
        meanwhile > before,
        `while it was suspended with an open transaction, the other process applied ${meanwhile - before} events`,
      );
    },
  },
  {
    name: 'consumer-suspended',
    what: 'The consumer, with a second process standing by, is suspended (SIGSTOP) for 30 s and wakes up with what it had taken.',
    notice: 'For about 20 s nothing arrives, until the broker gives the queue to the other process.',
    target: 30,
    seconds: 30,
    load: { seconds: 50 },
    services: { producer: {}, consumer: {}, 'consumer-b': { service: 'consumer', manual: true } },
    async run(trial) {
      await trial.service('consumer-b').start();
      await trial.service('consumer-b').ready();
      await trial.load.reached(0.3);
      trial.consumer.signal('SIGSTOP');
      const before = await records(trial);
      await trial.sleep(30);
      const meanwhile = await records(trial);
      trial.consumer.signal('SIGCONT');
      trial.healed();
      trial.prove(
        meanwhile > before,
        `while one process was suspended, the other applied ${meanwhile - before} events`,
      );
    },
  },
  {
    name: 'consumer-silently-detached',
    what: 'The broker forgets its consumers without a word (the queue drops them, connection and channel stay).',
    notice: 'Nothing arrives until the service finds out by itself, within fifteen seconds.',
    target: 35,
    seconds: 10,
    load: { seconds: 10 },
    async run(trial) {
      await trial.load.reached(0.3);
      const dropped = await trial.broker.ctl('eval', forgetConsumers(trial.vhost, 'consumer.inbox'));
      const since = Date.now();
      trial.healed();
      trial.prove(Number.parseInt(dropped, 10) > 0, `the queue forgot ${Number.parseInt(dropped, 10)} consumer(s)`);
      await trial.until('the service notices', () => trial.consumer.count(/broker has lost the consumer/g), 40);
      const seconds = (Date.now() - since) / 1_000;
      trial.prove(seconds <= 15 * trial.patience, `the service noticed after ${seconds.toFixed(1)} s`);
    },
  },
  {
    name: 'timed-out-reaction-writes-late',
    what: 'Twelve reactions take longer than a live reaction may, and write when their transaction has been given up.',
    notice: 'These events arrive some seconds later; the others wait for up to 2 s each time.',
    target: 45,
    seconds: 15,
    load: { slow: 12 },
    async run(trial) {
      const slow = trial.databases.sample(
        'consumer',
        `select event_id from messaging.parked_events where state = 'slow'`,
      );
      await trial.load.done();
      slow.stop();
      trial.healed();
      trial.prove(slow.seen.size >= 2, `${slow.seen.size} reactions were given up after 2 s, before they wrote`);
    },
  },
];

/** @param {Trial} trial */
const records = (trial) => trial.count('consumer', `select count(*) from effects where reaction = 'Record'`);

/** @param {number} pid */
export function isSuspended(pid) {
  return / T /.test(readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/\(.*\)/, ''));
}

/** What no tool offers: the queue drops its consumers, and nobody is told. @param {string} vhost @param {string} queue */
const forgetConsumers = (vhost, queue) => `
{ok, Q} = rabbit_amqqueue:lookup(rabbit_misc:r(<<"${vhost}">>, queue, <<"${queue}">>)),
Consumers = rabbit_amqqueue:consumers(Q),
[ra:process_command(amqqueue:get_pid(Q), rabbit_fifo:make_checkout({element(2, C), element(1, C)}, cancel, #{})) || C <- Consumers],
length(Consumers).`;
