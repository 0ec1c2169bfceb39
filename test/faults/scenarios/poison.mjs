import { gzipSync } from 'node:zlib';
import { publishRaw } from '../harness/courier.mjs';

/** @typedef {import('../harness/trial.mjs').Trial} Trial */

const HEADS = `select count(*) from messaging.parked_events where attempts >= $1 and state in ('retry', 'dead')`;

/** @param {Trial} trial @param {number} attempts @param {number} [count] */
const failed = (trial, attempts, count = 1) =>
  trial.until(
    `${count} event(s) have failed ${attempts} times`,
    async () => (await trial.count('consumer', HEADS, [attempts])) >= count,
    150,
  );

/** What waits, and what went on meanwhile. @param {Trial} trial */
async function standing(trial) {
  const [row] = await trial.rows(
    'consumer',
    `select count(*)::int as parked, count(distinct (aggregate, subject))::int as streams,
            (select count(*)::int from effects where reaction = 'Record') as done from messaging.parked_events`,
  );
  return `${row.parked} events of ${row.streams} stream(s) waited, ${row.done} others were applied`;
}

/** The event that ends the process has been found, and waits. @param {Trial} trial @param {number} seconds */
const setAside = (trial, seconds) =>
  trial.until(
    'the event is set aside',
    () => trial.count('consumer', `select count(*) from messaging.parked_events where error like '%processes died%'`),
    seconds,
  );

/** Events whose reaction does not work, and messages that are none. @type {import('../harness/types.js').Scenario[]} */
export const poisonScenarios = [
  {
    name: 'poison-throws',
    what: 'Three events make their reaction throw every time, until it is repaired and an operator retries them.',
    notice: 'The three streams stand still, visibly; everything else flows.',
    target: 30,
    short: true,
    load: { flags: { throws: [10, 30, 50] } },
    async run(trial) {
      await failed(trial, 2, 3);
      await trial.load.done();
      await trial.until('only three streams wait', async () => {
        const sql = 'select count(distinct (aggregate, subject)) from messaging.parked_events';
        return (await trial.count('consumer', sql)) === 3;
      });
      trial.prove(true, `three events failed at least twice each; ${await standing(trial)}`);
      await trial.repair('throws');
      trial.healed();
    },
  },
  {
    name: 'retried-while-successors-arrive',
    what: 'Events fail twice and then work, while successors of the same streams keep arriving.',
    notice: 'These streams are some seconds late.',
    target: 30,
    load: { seconds: 12, flags: { throws: [5, 10, 15, 20, 25, 30, 35, 40] } },
    async run(trial) {
      await failed(trial, 2, 2);
      const before = await standing(trial);
      trial.prove(
        trial.load.progress < 1,
        `repaired at ${Math.round(trial.load.progress * 100)} % of the load: ${before}`,
      );
      await trial.repair('throws');
      trial.healed();
    },
  },
  {
    name: 'poison-hangs',
    what: 'One event makes its reaction wait for ever; it is given 2 s, then 30 s, then retried.',
    notice: 'Its stream stands still, visibly; the others are up to 2 s late, once.',
    target: 45,
    seconds: 50,
    load: { slow: 0, flags: { hangs: [30] } },
    async run(trial) {
      await trial.until(
        'it is run by the workers',
        async () =>
          (await trial.count('consumer', `select count(*) from messaging.parked_events where state = 'slow'`)) > 0,
        60,
      );
      await failed(trial, 1);
      trial.prove(true, `the reaction was cut off after 2 s and again after 30 s; ${await standing(trial)}`);
      await trial.repair('hangs');
      trial.healed();
    },
  },
  {
    name: 'poison-kills-the-process',
    what: 'One event makes its reaction end the process (process.abort) whenever it is applied.',
    notice: 'The service restarts a few times; then that stream stands still and everything else flows.',
    target: 30,
    seconds: 40,
    load: { flags: { aborts: [30] } },
    async run(trial) {
      await setAside(trial, 120);
      const aborted = () => trial.consumer.ends.filter(({ signal }) => signal === 'SIGABRT').length;
      trial.prove(
        aborted() >= 2,
        `the process died of it ${aborted()} times before it was set aside; ${await standing(trial)}`,
      );
      await trial.repair('aborts');
      trial.healed();
      await trial.consumer.ready();
    },
  },
  {
    name: 'poison-blocks-the-event-loop',
    what: 'One event makes its reaction block the event loop, so that nothing else of the process runs.',
    notice:
      'The service stands still for 30 s at a time, until its watchdog ends it: some five times in a row, and again when the event is tried again. In between, the other streams go on.',
    // A worker may just have begun with it once more: that takes 30 s, until the watchdog ends it, too.
    target: 75,
    seconds: 150,
    load: { slow: 0, flags: { blocks: [30] } },
    async run(trial) {
      await setAside(trial, 220);
      const ended = trial.consumer.ends.filter(({ signal }) => signal === 'SIGKILL').length;
      const [poison] = await trial.rows(
        'producer',
        `select position from messaging.events where data ->> 'flag' = 'blocks'`,
      );
      const behind = await trial.until(
        'what was recorded after it is applied',
        () =>
          trial.count('consumer', `select count(*) from effects where reaction = 'Record' and position > $1`, [
            poison.position,
          ]),
        60,
      );
      trial.prove(
        ended >= 2,
        `the watchdog ended the process ${ended} times before the event was set aside; ${await standing(trial)}, ${behind} of them recorded after it`,
      );
      await trial.repair('blocks');
      trial.healed();
      await trial.consumer.ready({ timeoutMs: 60_000 });
    },
  },
  {
    name: 'unreadable-messages',
    what: 'Eleven kinds of messages that are no events arrive where events are expected.',
    notice: 'Nothing; an operator finds them set aside with their bytes and the reason.',
    target: 20,
    async run(trial) {
      await trial.load.reached(0.3);
      const messages = unreadable();
      await publishRaw(
        trial,
        messages.map((message) => ({ key: 'producer.account.credited.v1', ...message })),
      );
      trial.except.parkedForGood.consumer = messages.length * 2; // the audit inbox listens as well
      const aside = await trial.until('all are set aside', async () => {
        const rows = await trial.rows(
          'consumer',
          `select distinct error from messaging.parked_events where state = 'dead'`,
        );
        const count = await trial.count(
          'consumer',
          `select count(*) from messaging.parked_events where state = 'dead' and body is not null`,
        );
        return count === messages.length * 2 && rows;
      });
      trial.healed();
      trial.prove(
        aside.length >= messages.length - 2 && aside.some(({ error }) => error.includes('"__proto__" is not allowed')),
        `${messages.length} messages were set aside in two inboxes with ${aside.length} different reasons`,
      );
      const alive = trial.consumer.ends.length === 0;
      trial.prove(alive, 'no process ended');
    },
  },
  {
    name: 'newer-producer',
    what: 'The producer is updated first: it tells a new version of an event and one that the consumer has never heard of.',
    notice: 'Streams with the new version wait until the consumer is updated; events nobody reacts to are passed by.',
    target: 30,
    load: { more: ['account.credited.v2', 'account.archived.v1'] },
    services: { producer: { env: { FAULTS_VERSION: '2' } }, consumer: {} },
    reactions: { consumer: { 'producer.account.credited.v2': ['Record', 'Audit'] } },
    async run(trial) {
      await trial.load.done();
      const waiting = await trial.until('streams wait for the update', () =>
        trial.count('consumer', `select count(*) from messaging.parked_events where state = 'incompatible'`),
      );
      const passed = await trial.count(
        'producer',
        `select count(*) from messaging.events where type like '%archived%'`,
      );
      trial.prove(
        waiting > 0 && passed > 0,
        `${waiting} streams waited at an unknown version, ${passed} events of an unknown kind were recorded`,
      );
      await trial.consumer.stop();
      trial.consumer.options.env.FAULTS_VERSION = '2';
      await trial.consumer.start();
      await trial.consumer.ready();
      trial.healed();
    },
  },
  {
    name: 'retried-twice-and-killed',
    what: 'Two operators retry everything that failed at the same time, under load, and the consumer is killed meanwhile.',
    notice: 'The streams that stood still go on a little later.',
    target: 75,
    load: { seconds: 12, flags: { throws: [5, 10, 15, 20, 25, 30] } },
    async run(trial) {
      await failed(trial, 1, 4);
      const before = await standing(trial);
      await trial.rows('consumer', `insert into repaired values ('throws')`);
      const retry = () => trial.operator('consumer', 'parked', 'retry', '--all', '--yes');
      // A worker claims an event before it begins with it, and lets it go within milliseconds.
      const claims = trial.databases.sample(
        'consumer',
        'select event_id from messaging.parked_events where claimed_at is not null',
      );
      const both = Promise.all([retry(), retry()]);
      await trial.until('a worker has begun', () => claims.seen.size > 0);
      await trial.consumer.kill();
      claims.stop();
      const [one, other] = await both;
      await trial.consumer.ready();
      await retry();
      trial.healed();
      trial.prove(
        one.affected + other.affected > 0,
        `retried ${one.affected} and ${other.affected} events at once; killed when workers had begun with ${claims.seen.size}; ${before}`,
      );
    },
  },
];

const PROTOTYPE = '{"__proto__": {"polluted": true}}';

function unreadable() {
  const json = (/** @type {unknown} */ value) => Buffer.from(JSON.stringify(value));
  const event = {
    specversion: '1.0',
    id: 'x',
    source: '/elsewhere',
    type: 'producer.account.credited.v1',
    subject: 'a1',
  };
  return [
    { content: Buffer.from('{"specversion": ') },
    { content: Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x7d]) },
    { content: gzipSync(json(event)), options: { contentEncoding: 'gzip' } },
    { content: gzipSync(json({ ...event, id: 'y' })) },
    { content: Buffer.from(`${'['.repeat(100_000)}${']'.repeat(100_000)}`) },
    {
      content: Buffer.from(JSON.stringify({ ...event, id: 'z', source: '/other', data: {} }).replace('{}', PROTOTYPE)),
    },
    { content: json({ ...event, data: 'x'.repeat(1_200_000) }) },
    { content: Buffer.from('') },
    { content: Buffer.from('[]') },
    { content: json('just a text') },
    { content: json({ ...event, source: '/producer' }) },
  ];
}
