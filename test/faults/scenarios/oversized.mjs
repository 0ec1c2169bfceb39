import { purge } from './topology.mjs';
import { withinTwoMinutes } from './two-minutes.mjs';

/** @typedef {import('../harness/trial.mjs').Trial} Trial */

/** @param {Trial} trial @param {number} bytes */
const limitTo = (trial, bytes) => trial.broker.ctl('eval', `application:set_env(rabbit, max_message_size, ${bytes}).`);

/** A backlog makes large batches, a new channel knows the limit. @param {Trial} trial @param {number} bytes */
async function tellUnderLimit(trial, bytes) {
  await limitTo(trial, bytes);
  await trial.broker.ctl('stop_app');
  trial.load.start();
  await trial.load.reached(0.7);
  await trial.broker.ctl('start_app');
  await trial.load.done();
}

/** @param {Trial} trial @param {number} count */
async function areSetAside(trial, count) {
  const aside = await trial.until(
    'the large events are set aside',
    async () => {
      const rows = await trial.rows(
        'producer',
        'select position, error from messaging.unpublishable order by position',
      );
      return rows.length >= count && rows;
    },
    90,
  );
  trial.prove(aside.length === count, `${aside.length} events were set aside: ${aside[0].error}`);
  return aside;
}

/**
 * Streams of which the consumer has not got everything.
 * @param {Trial} trial
 * @param {Record<string, number>} [sendable] events of streams of which not all can be sent
 * @returns {Promise<string[]>}
 */
async function streamsBehind(trial, sendable = {}) {
  const recorded = await trial.rows(
    'producer',
    `select subject, last_sequence from messaging.streams where aggregate in ('producer.account', 'producer.ticket')`,
  );
  const arrived = await trial.rows(
    'consumer',
    `select subject, count(distinct sequence) from (
       select subject, generate_series(1, last_sequence) as sequence from messaging.inbox_streams
       where inbox = 'consumer' and source = '/producer'
       union all
       select subject, sequence from messaging.parked_events where inbox = 'consumer' and source = '/producer') arrived
     group by subject`,
  );
  const counts = new Map(arrived.map(({ subject, count }) => [subject, Number(count)]));
  return recorded
    .filter(({ subject, last_sequence: last }) => (counts.get(subject) ?? 0) < (sendable[subject] ?? Number(last)))
    .map(({ subject }) => subject);
}

/** @param {Trial} trial @param {{ position: string }[]} aside */
async function release(trial, aside) {
  await limitTo(trial, 134_217_728);
  await trial.broker.ctl('close_all_connections', '--vhost', trial.vhost, 'new limit');
  for (const { position } of aside) await trial.operator('producer', 'outbox', 'release', String(position), '--yes');
  trial.healed();
}

/** The broker takes no messages above a limit. @type {import('../harness/types.js').Scenario[]} */
export const oversizedScenarios = [
  {
    name: 'oversized-batch',
    what: 'RabbitMQ allows only small messages: batches are too large, and three events are too large even alone.',
    notice:
      'Three streams stand still, visibly, until the limit is raised and an operator releases them; everything else flows.',
    target: 30,
    seconds: 25,
    ownServers: true,
    load: { manual: true, seconds: 8, padded: { 9_000: 20, 80_000: 3 } },
    async run(trial) {
      await tellUnderLimit(trial, 60_000);
      await release(trial, await areSetAside(trial, 3));
    },
  },
  {
    name: 'withheld-and-purged',
    what: 'RabbitMQ allows only small messages, a stream stands still for an event that is too large; then the queue of the consumer is purged.',
    ...withinTwoMinutes,
    notice:
      'What was lost arrives within two minutes, but for the stream that stands still, visibly, until an operator releases it.',
    ownServers: true,
    load: { manual: true, seconds: 8, padded: { 80_000: 1 } },
    async run(trial) {
      await tellUnderLimit(trial, 30_000);
      const aside = await areSetAside(trial, 1);
      const [held] = await trial.rows(
        'producer',
        'select subject, sequence from messaging.unpublishable join messaging.events using (position)',
      );
      await purge(trial);
      const lost = (await streamsBehind(trial)).filter((subject) => subject !== held.subject).length;
      await trial.consumer.start();
      const since = Date.now();
      await trial.until(
        'everything but the stream is there again',
        async () => String(await streamsBehind(trial, { [held.subject]: held.sequence - 1 })) === '',
        120,
      );
      const seconds = ((Date.now() - since) / 1_000).toFixed(0);
      trial.prove(
        lost > 0,
        `besides the stream that stands still ${lost} had lost events, and had them again after ${seconds} s`,
      );
      await release(trial, aside);
    },
  },
];
