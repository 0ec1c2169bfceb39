import { takeOut } from '../harness/courier.mjs';
import { NotProvedError } from '../harness/trial.mjs';
import { isSuspended } from './instances.mjs';
import { withinTwoMinutes } from './two-minutes.mjs';

/** @typedef {import('../harness/trial.mjs').Trial} Trial */

/** Messages in a queue, once there are more than a few. @param {Trial} trial @param {string} name */
const waitingIn = (trial, name) =>
  trial.until(`events wait in ${name}`, async () => {
    const queue = (await trial.broker.queues(trial.vhost)).find((one) => one.name === name);
    return (queue?.messages ?? 0) > 10 && queue?.messages;
  });

/** Only the books can tell what is lost now: the load is over, and the consumer down. @param {Trial} trial */
export async function purge(trial) {
  trial.consumer.signal('SIGSTOP');
  await trial.load.done();
  // What it has taken already comes back to the queue when it is killed, and is purged, too.
  await trial.consumer.stop('SIGKILL');
  const lost = await waitingIn(trial, 'consumer.inbox');
  await trial.broker.api('DELETE', `queues/${trial.vhost}/consumer.inbox/contents`);
  trial.prove(lost, `the queue was purged of ${lost} messages when the load was over`);
}

/**
 * The load goes on. Of a stream that goes on, the next event tells of the loss; of the others, only the books can tell.
 * @param {Trial} trial
 * @param {number} from share of the load
 */
async function purgeMeanwhile(trial, from) {
  await trial.load.reached(from);
  trial.consumer.signal('SIGSTOP');
  const lost = await waitingIn(trial, 'consumer.inbox');
  await trial.consumer.stop('SIGKILL');
  await trial.until('what it had taken is in the queue again', async () => {
    const { messages, ready } = await messagesIn(trial, 'consumer.inbox');
    return messages === ready;
  });
  await trial.broker.api('DELETE', `queues/${trial.vhost}/consumer.inbox/contents`);
  trial.prove(
    lost,
    `the queue was purged of ${lost} messages at ${Math.round(trial.load.progress * 100)} % of the load`,
  );
  await trial.consumer.start();
  trial.healed();
  await pulled(trial, 'consumer', 120);
  const { seconds } = /** @type {{ seconds: number }} */ (await trial.recovered);
  const progress = Math.round(trial.load.progress * 100);
  trial.prove(progress < 100, `everything was there again after ${seconds} s, at ${progress} % of the load`);
}

/**
 * All connections are closed. The producer finds nothing of what it was asked when it has one again; else it would answer that, and
 * nothing would be missing any more.
 * @param {Trial} trial
 */
async function loseRequests(trial) {
  const queue = 'producer.replay-requests';
  trial.producer.signal('SIGSTOP');
  await trial.broker.ctl('close_all_connections', '--vhost', trial.vhost, 'again');
  const lost = await trial.until('what the producer had been asked is in its queue again', async () => {
    const { messages, ready } = await messagesIn(trial, queue);
    return messages === ready && messages;
  });
  await trial.broker.api('DELETE', `queues/${trial.vhost}/${queue}/contents`);
  trial.producer.signal('SIGCONT');
  return lost;
}

/** Proves that the books found the loss. @param {Trial} trial @param {string} id @param {number} [seconds] */
async function pulled(trial, id, seconds = 60) {
  const found = () => trial.service(id).count(/pulling them from the log/g);
  await trial.until('the missing events are pulled', found, seconds);
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
/** Lives that may be needed beyond the last death until the broker gives up. */
const SUSPENDED_LIVES = 6;

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
    what: 'The queue of the consumer is purged when the load is over: nothing else will tell of the loss.',
    ...withinTwoMinutes,
    async run(trial) {
      await trial.load.reached(0.5);
      await purge(trial);
      await trial.consumer.start();
      trial.healed();
      await pulled(trial, 'consumer', 120);
    },
  },
  {
    name: 'queue-purged-under-load',
    what: 'The queue of the consumer is purged, and the load goes on.',
    ...withinTwoMinutes,
    load: { seconds: 150, times: 4 },
    run: (trial) => purgeMeanwhile(trial, 0.08),
  },
  {
    name: 'queue-purged-at-a-trickle',
    what: 'The queue of the consumer is purged when, after the load, little more than one event is recorded in a second.',
    ...withinTwoMinutes,
    load: { trickle: { share: 0.05, seconds: 170 } },
    run: (trial) => purgeMeanwhile(trial, 0.955),
  },
  {
    name: 'reconnects-during-replay',
    what: 'The queue of the consumer is purged, and while what is missing is pulled, all connections are closed and the requests are lost, four times.',
    ...withinTwoMinutes,
    services: { producer: { failpoints: ['replay.beforeChunk=pause:1500'] }, consumer: {} },
    async run(trial) {
      await trial.load.reached(0.5);
      await purge(trial);
      await trial.consumer.start();
      const pulls = () => trial.consumer.count(/pulling them from the log/g);
      for (let broken = 0; broken < 4; broken++) {
        const before = pulls();
        await trial.until('a pull is under way', () => pulls() > before, 120);
        const lost = await loseRequests(trial);
        trial.prove(lost > 0, `a pull was broken off, and ${lost} requests were lost`);
      }
      trial.healed();
      await pulled(trial, 'consumer', 120);
    },
  },
  {
    name: 'replay-exchange-deleted',
    what: 'The exchange for requests to the books is deleted, later the binding of the producer’s queue; then the queue of the consumer is purged.',
    notice: `Both are declared again by themselves. ${healedByBooks}`,
    target: 60,
    seconds: 20,
    books: 1_000,
    async run(trial) {
      const where = `bindings/${trial.vhost}/e/replay.requests/q/producer.replay-requests`;
      const declaredAgain = async () => {
        const since = Date.now();
        await trial.until('requests reach the producer again', async () => (await bindings()).length > 0, 30);
        return ((Date.now() - since) / 1_000).toFixed(1);
      };
      const bindings = () => trial.broker.api('GET', where).catch(() => []);
      await trial.load.reached(0.3);
      await trial.broker.api('DELETE', `exchanges/${trial.vhost}/replay.requests`);
      trial.prove(true, `the exchange was deleted, and there again after ${await declaredAgain()} s`);
      await purge(trial);
      for (const { properties_key: key } of await bindings())
        await trial.broker.api('DELETE', `${where}/${encodeURIComponent(key)}`);
      await trial.consumer.start();
      trial.healed();
      trial.prove(true, `the binding was removed, and there again after ${await declaredAgain()} s`);
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
    ...withinTwoMinutes,
    load: { seconds: 10 },
    async run(trial) {
      await trial.load.reached(0.4);
      const unheard = () => trial.metric('producer', 'outbox_unroutable_total');
      const before = await unheard();
      let times = 0;
      // Who listens declares it, too, and may do so before the relay does: then nothing is lost, and it is deleted again.
      await trial.until(
        'events are published that nobody gets',
        async () => {
          await trial.broker.api('DELETE', `exchanges/${trial.vhost}/producer.events`).catch(() => {}); // not there yet
          times += 1;
          await trial.sleep(2);
          return (await unheard()) > before;
        },
        20,
      );
      trial.prove(true, `the exchange was deleted ${times} time(s); ${(await unheard()) - before} events went nowhere`);
      await trial.load.done();
      trial.healed();
      await pulled(trial, 'consumer', 120);
    },
  },
  {
    name: 'binding-removed',
    what: 'The bindings between the producer’s exchange and the queue of the consumer are removed: the broker confirms and drops.',
    ...withinTwoMinutes,
    load: { seconds: 10 },
    async run(trial) {
      await trial.load.reached(0.3);
      const where = `bindings/${trial.vhost}/e/producer.events/q/consumer.inbox`;
      const bindings = await trial.broker.api('GET', where);
      for (const { properties_key: key } of bindings)
        await trial.broker.api('DELETE', `${where}/${encodeURIComponent(key)}`);
      trial.prove(bindings.length > 0, `${bindings.length} bindings were removed`);
      await trial.load.done();
      trial.healed();
      await pulled(trial, 'consumer', 120);
    },
  },
  {
    name: 'nobody-listens-yet',
    what: 'Nobody listens to the producer during the whole load: every event is unroutable. Then the first consumer starts.',
    ...withinTwoMinutes,
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
    services: { producer: {}, consumer: { failpoints: dying(22) } },
    async run(trial) {
      const { consumer } = trial;
      await trial.until('it has died 22 times', () => consumer.ends.length >= 22, 250);
      const dead = await suspendedUntil(trial, async () => {
        const now = await messagesIn(trial, 'consumer.inbox.dead');
        if (now.messages === 0) await consumer.kill();
        return now.messages;
      });
      consumer.signal('SIGCONT');
      trial.healed();
      await consumer.ready();
      await retryGivenUp(trial);
      const deaths = consumer.ends.length;
      trial.prove(
        dead > 0,
        `the consumer died ${deaths} times in a row; the broker had given up on ${dead} messages then`,
      );
    },
  },
  {
    name: 'dead-letter-exchange-missing',
    what: 'The same, and the dead-letter exchange is deleted when the broker gives up: it has nowhere to put these messages.',
    notice:
      'Effects arrive when the service has stopped crashing and is up again; an event that was there at four deaths waits for an operator.',
    target: AFTER_DEATHS,
    seconds: 60,
    // The broker tries again only minutes later; until then, the books have pulled what it keeps.
    books: 1_000,
    load: { slow: 0 },
    services: { producer: {}, consumer: { failpoints: dying(20) } },
    async run(trial) {
      const { consumer } = trial;
      await trial.until('it has died 20 times', () => consumer.ends.length >= 20, 250);
      const { kept, dead } = await suspendedUntil(trial, async () => {
        await trial.broker.api('DELETE', `exchanges/${trial.vhost}/consumer.inbox.dead`);
        await consumer.stop('SIGKILL');
        await trial.sleep(5);
        const { messages, ready } = await messagesIn(trial, 'consumer.inbox');
        const { messages: dead } = await messagesIn(trial, 'consumer.inbox.dead');
        if (messages === ready) await consumer.start();
        return messages > ready && { kept: messages - ready, dead };
      });
      const deaths = consumer.ends.length;
      trial.prove(
        dead === 0,
        `after ${deaths} deaths the broker gave up on ${kept} messages, had no exchange for them and kept them in the queue`,
      );
      consumer.options.failpoints = [];
      await consumer.start();
      trial.healed();
      await consumer.ready();
      await retryGivenUp(trial);
    },
  },
];

/** So many lives that end in front of the first COMMIT, and some that are suspended there. @param {number} times */
function dying(times) {
  return Array.from({ length: times + SUSPENDED_LIVES }, (_, life) =>
    life < times ? 'inbox.beforeCommit=kill@1' : 'inbox.beforeCommit=stop@1',
  );
}

/**
 * Not every death counts for every message: the service may die of its other inbox before it has been given any of this one.
 * @template T
 * @param {Trial} trial
 * @param {() => Promise<T | undefined | false | 0>} look while the consumer is suspended; if in vain, lets the next life begin
 * @returns {Promise<T>}
 */
async function suspendedUntil(trial, look) {
  for (let life = 0; life < SUSPENDED_LIVES; life++) {
    await trial.until('it is suspended in front of a COMMIT', () => isSuspended(trial.consumer.pid), 60);
    const found = await look();
    if (found) return found;
  }
  throw new NotProvedError(`the broker did not give up within ${trial.consumer.ends.length} deaths`);
}

/** @param {Trial} trial @param {string} name */
async function messagesIn(trial, name) {
  const queue = (await trial.broker.queuesNow(trial.vhost)).find((one) => one.name === name);
  if (!queue) throw new Error(`there is no queue ${name}`);
  return queue;
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
