import { publishAgain } from '../harness/courier.mjs';
import { randomFrom } from '../harness/random.mjs';

/** @typedef {import('../harness/trial.mjs').Trial} Trial */

/** Waits until a service has died this often, and is alive again. @param {Trial} trial @param {string} id @param {number} times */
const deaths = async (trial, id, times) => {
  const service = trial.service(id);
  await trial.until(`${id} has died ${times} times`, () => service.ends.length >= times, 90);
  await service.ready();
  return service.ends.filter(({ signal }) => signal === 'SIGKILL').length;
};

/** Faults of the consumer: crashes at the worst moments, duplicates, disorder. @type {import('../harness/types.js').Scenario[]} */
export const consumerScenarios = [
  {
    name: 'nothing-happens',
    what: 'No fault at all: the load, its failing and slow reactions, and the checker.',
    notice: 'Nothing.',
    target: 30,
    async run(trial) {
      await trial.load.done();
      const failures = await trial.metric('consumer', 'reaction_failures_total');
      const answered = [...trial.load.outcomes.values()].filter((outcome) => outcome !== 'unknown').length;
      trial.prove(
        answered === trial.load.plan.length,
        `all ${answered} commands were answered, ${failures} reactions had failed or been too slow by then`,
      );
      const together = await trial.count(
        'producer',
        'select count(*) from (select from commands group by xmin::text having count(*) > 1) as shared',
      );
      const isRush = trial.load.plan.length > 1_500; // a smaller load is no denser, but shorter
      trial.prove(together > 0 || !isRush, `${together} transactions committed several commands`);
    },
  },
  {
    name: 'consumer-killed',
    what: 'The consumer is killed with SIGKILL five times while it works off the load.',
    notice: 'Effects arrive a second or two later; commands are answered as always.',
    target: 30,
    async run(trial) {
      for (const share of [0.1, 0.3, 0.5, 0.7, 0.9]) {
        await trial.load.reached(share);
        await trial.consumer.ready();
        await trial.consumer.kill();
      }
      trial.healed();
      const kills = trial.consumer.ends.filter(({ signal }) => signal === 'SIGKILL').length;
      trial.prove(kills >= 5, `the consumer was killed ${kills} times`);
    },
  },
  {
    name: 'consumer-dies-before-commit',
    what: 'The consumer is killed when a batch is applied but not committed, four times.',
    notice: 'Effects arrive a second or two later.',
    target: 30,
    short: true,
    services: {
      producer: {},
      consumer: { failpoints: [4, 6, 2, 3].map((hit) => `inbox.beforeCommit=kill@${hit}`) },
    },
    async run(trial) {
      const kills = await deaths(trial, 'consumer', 4);
      trial.healed();
      trial.prove(kills === 4, `the consumer died ${kills} times in front of a COMMIT`);
    },
  },
  {
    name: 'consumer-dies-before-ack',
    what: 'The consumer is killed when a batch is committed but not acknowledged, four times.',
    notice: 'Nothing but a short delay: what comes again is recognised and dropped.',
    target: 30,
    short: true,
    services: {
      producer: {},
      consumer: { failpoints: [3, 2, 4, 2].map((hit) => `inbox.afterCommit=kill@${hit}`) },
    },
    async run(trial) {
      const kills = await deaths(trial, 'consumer', 4);
      trial.healed();
      trial.prove(kills === 4, `the consumer died ${kills} times between COMMIT and acknowledgement`);
      const dropped = await trial.until('duplicates come', () => trial.metric('consumer', 'inbox_duplicates_total'));
      trial.prove(dropped > 0, `${dropped} redelivered events were dropped after the last time`);
    },
  },
  {
    name: 'events-shuffled-and-repeated',
    what: 'Every event is delivered in random order, a tenth of them ten times, before the relay sends all of them once more.',
    notice: 'Events arrive later, as they wait for their predecessors.',
    // From the last delivery in disorder; what waits is then applied stream by stream. Measured on a busy machine: 41 s.
    target: 75,
    short: true,
    services: {
      producer: { env: { ROLES: 'api,inbox,workers' } },
      relay: { service: 'producer', env: { ROLES: 'relay' }, manual: true },
      consumer: {},
    },
    async run(trial) {
      await trial.load.done();
      const random = randomFrom(`${trial.seed}/shuffle`);
      const copies = (await trial.rows('producer', 'select id from messaging.events')).flatMap(({ id }) =>
        Array.from({ length: random.next() < 0.1 ? 10 : 1 }, () => id),
      );
      const sent = await publishAgain(trial, random.shuffle(copies));
      trial.healed();
      const parked = await trial.until('events are ahead', () =>
        trial.count('consumer', 'select count(*) from messaging.parked_events'),
      );
      trial.prove(parked > 0, `${sent} deliveries in random order, up to ${parked} events waited for a predecessor`);
      await trial.until(
        'all are applied',
        () =>
          trial.count(
            'consumer',
            `select (select count(*) from messaging.parked_events) = 0 and count(distinct event_id) = ${new Set(copies).size}
             from effects where reaction = 'Record'`,
          ),
        60,
      );
      await trial.service('relay').start();
      const dropped = await trial.until('duplicates come', () => trial.metric('consumer', 'inbox_duplicates_total'));
      trial.prove(dropped > 0, `${dropped} duplicates were dropped`);
    },
  },
  {
    name: 'reactions-record-and-fail',
    what: 'One in five reactions that record an event fails after that, the first time.',
    notice: 'Nothing but short delays; nobody ever hears of an event that was rolled back.',
    // Each failure holds its stream for a second, one after the other: some forty in the hottest one.
    target: 60,
    load: { seconds: 8 },
    services: { producer: {}, consumer: { env: { FAULTS_FAILING_RECEIPTS: '0.2' } } },
    async run(trial) {
      await trial.load.done();
      const failures = await trial.until('more than 20 reactions have failed', async () => {
        const count = await trial.metric('consumer', 'reaction_failures_total');
        return count > 20 && count;
      });
      trial.healed();
      trial.prove(failures > 20, `${failures} reactions failed, most of them after they had recorded an event`);
    },
  },
];
