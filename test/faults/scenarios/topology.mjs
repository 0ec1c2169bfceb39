import { takeOut } from '../harness/courier.mjs';

/** @typedef {import('../harness/trial.mjs').Trial} Trial */

/** Messages in a queue, once there are more than a few. @param {Trial} trial @param {string} name */
const waitingIn = (trial, name) =>
  trial.until(`events wait in ${name}`, async () => {
    const queue = (await trial.broker.queues(trial.vhost)).find((one) => one.name === name);
    return (queue?.messages ?? 0) > 10 && queue?.messages;
  });

/** Proves that the books found the loss. @param {Trial} trial @param {string} id */
async function pulled(trial, id) {
  await trial.until('the missing events are pulled', () => trial.service(id).count(/pulling them from the log/g), 60);
  const missing = [
    ...trial
      .service(id)
      .log()
      .matchAll(/(\d+) event\(s\) of \S+ are missing/g),
  ];
  trial.prove(
    missing.length > 0,
    `the books found ${missing.reduce((sum, [, n]) => sum + Number(n), 0)} missing events in ${missing.length} pulls`,
  );
}

const healedByBooks =
  'What was lost arrives within a few looks at the books (here every second, by default every 15 s).';

/** Seconds. An event that was there at three deaths has its next turn 48 s after the last one began, whatever the machine. */
const AFTER_DEATHS = 60;

/** Somebody or something destroys what the services have declared at the broker. @type {import('../harness/types.js').Scenario[]} */
export const topologyScenarios = [
  {
    name: 'queue-deleted',
    what: 'The queue of the consumer is deleted with the events in it, while the consumer is suspended.',
    notice: healedByBooks,
    target: 60,
    seconds: 10,
    short: true,
    books: 1_000,
    async run(trial) {
      await trial.load.reached(0.3);
      trial.consumer.signal('SIGSTOP');
      const lost = await waitingIn(trial, 'consumer.inbox');
      await trial.broker.api('DELETE', `queues/${trial.vhost}/consumer.inbox`);
      trial.consumer.signal('SIGCONT');
      trial.healed();
      trial.prove(lost, `the queue was deleted with ${lost} messages in it`);
      await pulled(trial, 'consumer');
    },
  },
  {
    name: 'queue-purged',
    what: 'The queue of the consumer is purged while the consumer is suspended.',
    notice: healedByBooks,
    target: 30,
    seconds: 10,
    books: 1_000,
    async run(trial) {
      await trial.load.reached(0.5);
      trial.consumer.signal('SIGSTOP');
      await trial.load.done();
      // What it has taken already comes back to the queue when it is killed, and is purged, too.
      await trial.consumer.stop('SIGKILL');
      const lost = await waitingIn(trial, 'consumer.inbox');
      await trial.broker.api('DELETE', `queues/${trial.vhost}/consumer.inbox/contents`);
      await trial.consumer.start();
      trial.healed();
      trial.prove(lost, `the queue was purged of ${lost} messages, the last ones of all streams among them`);
      await pulled(trial, 'consumer');
    },
  },
  {
    name: 'messages-taken-out',
    // Not in the management UI: RabbitMQ refuses that for a queue with one active consumer.
    what: 'Somebody takes messages out of the queue with a consumer of their own, while the service is stopped.',
    notice: `Some streams stand still. ${healedByBooks}`,
    target: 30,
    seconds: 10,
    books: 1_000,
    async run(trial) {
      await trial.load.reached(0.2);
      const { code } = await trial.consumer.stop();
      trial.prove(code === 0, 'the consumer was stopped');
      await waitingIn(trial, 'consumer.inbox');
      await trial.sleep(1);
      const taken = await takeOut(trial, 'consumer.inbox', 8);
      await trial.consumer.start();
      trial.healed();
      trial.prove(taken > 0, `${taken} messages were taken out`);
      await pulled(trial, 'consumer');
    },
  },
  {
    name: 'exchange-deleted',
    what: 'The exchange of the producer is deleted, with all bindings.',
    notice: `Effects wait until it is declared again, which happens by itself. ${healedByBooks}`,
    target: 45,
    seconds: 10,
    books: 1_000,
    load: { seconds: 10 },
    async run(trial) {
      await trial.load.reached(0.4);
      await trial.broker.api('DELETE', `exchanges/${trial.vhost}/producer.events`);
      trial.healed();
      const told = () => trial.producer.count(/NOT_FOUND|no exchange/g);
      // Who listens declares it, too, and may do so before the relay has published anything.
      const found = () => trial.consumer.count(/pulling them from the log/g);
      await trial.until('the relay or the books notice', () => told() + found(), 20);
      if (told() > 0) trial.prove(true, 'the relay was told that its exchange is gone');
      else await pulled(trial, 'consumer');
    },
  },
  {
    name: 'binding-removed',
    what: 'The bindings between the producer’s exchange and the queue of the consumer are removed: the broker confirms and drops.',
    notice: healedByBooks,
    target: 45,
    seconds: 10,
    books: 1_000,
    load: { seconds: 10 },
    async run(trial) {
      await trial.load.reached(0.3);
      const where = `bindings/${trial.vhost}/e/producer.events/q/consumer.inbox`;
      const bindings = await trial.broker.api('GET', where);
      for (const { properties_key: key } of bindings)
        await trial.broker.api('DELETE', `${where}/${encodeURIComponent(key)}`);
      trial.healed();
      trial.prove(bindings.length > 0, `${bindings.length} bindings were removed`);
      await pulled(trial, 'consumer');
    },
  },
  {
    name: 'nobody-listens-yet',
    what: 'Nobody listens to the producer during the whole load: every event is unroutable. Then the first consumer starts.',
    notice: 'The consumer receives everything since the beginning within a few looks at the books.',
    target: 60,
    seconds: 15,
    books: 1_000,
    services: { producer: {}, consumer: { manual: true } },
    async run(trial) {
      await trial.load.done();
      const unroutable = await trial.until('the outbox is empty', async () => {
        const waiting = await trial.count('producer', 'select count(*) from messaging.outbox');
        return waiting === 0 && trial.metric('producer', 'outbox_unroutable_total');
      });
      trial.prove(unroutable > 0, `${unroutable} events were returned by the broker because nobody listened`);
      await trial.consumer.start();
      await trial.consumer.ready();
      trial.healed();
    },
  },
  {
    name: 'delivery-limit-reached',
    what: 'The consumer dies in front of every COMMIT, 22 times in a row, so that the broker gives up on its messages.',
    notice:
      'Effects arrive when the service has stopped crashing; what the broker gave up on is retried by itself, but for an event that was there at four deaths.',
    target: AFTER_DEATHS,
    seconds: 60,
    load: { slow: 0 },
    services: { producer: {}, consumer: { failpoints: Array.from({ length: 22 }, () => 'inbox.beforeCommit=kill@1') } },
    run: (trial) => crashUntilGivenUp(trial, async () => {}),
  },
  {
    name: 'dead-letter-exchange-missing',
    what: 'The same, and the dead-letter exchange is deleted meanwhile.',
    notice:
      'Effects arrive when the service has stopped crashing; an event that was there at four deaths waits for an operator.',
    target: AFTER_DEATHS,
    seconds: 60,
    books: 1_000,
    load: { slow: 0 },
    services: { producer: {}, consumer: { failpoints: Array.from({ length: 22 }, () => 'inbox.beforeCommit=kill@1') } },
    run: (trial) =>
      crashUntilGivenUp(trial, async () => {
        await trial.broker.api('DELETE', `exchanges/${trial.vhost}/consumer.inbox.dead`);
        trial.prove(true, 'the dead-letter exchange was deleted');
      }),
  },
];

/** @param {Trial} trial @param {() => Promise<void>} meanwhile */
async function crashUntilGivenUp(trial, meanwhile) {
  await trial.until('it has died 15 times', () => trial.consumer.ends.length >= 15, 150);
  await meanwhile();
  await trial.until('it has died 22 times', () => trial.consumer.ends.length >= 22, 150);
  trial.healed();
  await trial.consumer.ready();
  const kills = trial.consumer.ends.filter(({ signal }) => signal === 'SIGKILL').length;
  const guarded = await trial.count('consumer', 'select count(*) from messaging.inbox_attempts');
  trial.prove(
    kills >= 22,
    `the consumer died ${kills} times in a row; ${guarded} events were under suspicion in the end`,
  );
  await retryGivenUp(trial);
}

/** Where 22 deaths take more than 90 s, an event may have been there at four of them. @param {Trial} trial */
async function retryGivenUp(trial) {
  const parked = (/** @type {string} */ which) =>
    trial.count('consumer', `select count(*) from messaging.parked_events where ${which}`);
  await trial.until(
    'everybody has had a turn',
    async () => (await parked(`crashes > 0 and state <> 'dead'`)) === 0,
    AFTER_DEATHS,
  );
  const dead = await parked(`state = 'dead'`);
  if (dead === 0) return;
  await trial.operator('consumer', 'parked', 'retry', '--all', '--yes');
  trial.prove(true, `${dead} event(s) that were there at four deaths were retried by an operator`);
}
