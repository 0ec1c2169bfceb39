import path from 'node:path';
import { projectDir } from '../../../tools/infrastructure/outside.mjs';
import { randomFrom } from '../harness/random.mjs';

/** @typedef {import('../harness/trial.mjs').Trial} Trial */

const skewed = `--import=${path.join(projectDir, 'test/faults/harness/skewed-clock.mjs')}`;

/** Faults of processes and of those who run them. @type {import('../harness/types.js').Scenario[]} */
export const processScenarios = [
  {
    name: 'stopped-under-load',
    what: 'Producer and consumer are stopped with SIGTERM under load and started again, two times each.',
    notice: 'Requests that run are finished; new ones are refused until the next process is up.',
    target: 30,
    short: true,
    load: { seconds: 8 },
    async run(trial) {
      /** @type {string[]} */
      const ends = [];
      for (const [share, service] of /** @type {const} */ ([
        [0.15, trial.consumer],
        [0.35, trial.producer],
        [0.55, trial.consumer],
        [0.75, trial.producer],
      ])) {
        await trial.load.reached(share);
        const started = Date.now();
        const { code, signal } = await service.stop();
        const seconds = (Date.now() - started) / 1_000;
        ends.push(`${service.id} with ${signal ?? code} after ${seconds.toFixed(1)} s`);
        if (code !== 0 || seconds > 10) throw new Error(`SIGTERM: ${ends.at(-1)}, not with 0 within 10 s`);
        await service.start();
        await service.ready();
      }
      trial.healed();
      trial.prove(ends.length === 4, `ended: ${ends.join(', ')}`);
    },
  },
  {
    name: 'power-cut',
    what: 'Producer, consumer, RabbitMQ and Postgres are killed at once with SIGKILL; the servers come back one after the other, in random order.',
    notice: 'Nothing works until the servers are up again; what was answered with 2xx is there.',
    target: 60,
    seconds: 30,
    ownServers: true,
    load: { seconds: 10 },
    async run(trial) {
      await trial.load.reached(0.5);
      await Promise.all([
        trial.producer.kill(),
        trial.consumer.kill(),
        trial.servers.node.kill9(),
        trial.servers.postgres.kill9(),
      ]);
      await trial.sleep(2);
      const { postgres, node } = trial.servers;
      // The services, which are started again by themselves, come back before, between or behind their servers.
      const [first, second] = randomFrom(`${trial.seed}/order`).shuffle([postgres, node]);
      await first?.start();
      await second?.start();
      trial.healed();
      const kills = [...trial.producer.ends, ...trial.consumer.ends].filter(
        ({ signal }) => signal === 'SIGKILL',
      ).length;
      trial.prove(
        kills >= 2,
        `${kills} services and both servers were killed, ${first === node ? 'RabbitMQ' : 'Postgres'} came back first; ${trial.load.unknowns} commands got no answer or a 5xx`,
      );
    },
  },
  {
    name: 'consumer-down-for-long',
    what: 'The consumer is down during the whole load and works off the backlog afterwards, slowly (5 ms per event).',
    notice: 'Commands are answered as always; effects come when the consumer is back.',
    target: 90,
    seconds: 20,
    // What is recorded before its queue is there, only the books would bring.
    load: { manual: true },
    services: { producer: {}, consumer: { env: { FAULTS_PAUSE_MS: '5' } } },
    async run(trial) {
      await trial.consumer.stop();
      trial.load.start();
      await trial.load.done();
      const { unknowns } = trial.load;
      const waiting = await trial.until('the backlog is in the queue', async () => {
        const outbox = await trial.count('producer', 'select count(*) from messaging.outbox');
        return outbox === 0 && trial.count('producer', 'select count(*) from messaging.events');
      });
      await trial.consumer.start();
      await trial.consumer.ready();
      trial.healed();
      let most = 0;
      await trial.until(
        'the backlog is worked off',
        async () => {
          most = Math.max(most, await trial.metric('consumer', 'process_resident_memory_bytes'));
          return (await trial.count('consumer', `select count(*) from effects where reaction = 'Record'`)) >= waiting;
        },
        150,
      );
      trial.prove(
        unknowns === 0 && most < 300e6,
        `${waiting} events waited, no command failed, the consumer needed at most ${Math.round(most / 1e6)} MB`,
      );
    },
  },
  {
    name: 'backlog-in-the-outbox',
    what: 'RabbitMQ is stopped during the whole load: all events pile up in the outbox.',
    notice: 'Commands are answered as always; effects come when the broker is back, in order.',
    target: 60,
    seconds: 15,
    load: { times: 2 },
    async run(trial) {
      await trial.broker.ctl('stop_app');
      await trial.load.done();
      const { unknowns } = trial.load;
      const waiting = await trial.count('producer', 'select count(*) from messaging.outbox');
      const before = await trial.metric('producer', 'process_resident_memory_bytes');
      await trial.broker.ctl('start_app');
      trial.healed();
      let most = before;
      await trial.until(
        'the outbox is empty',
        async () => {
          most = Math.max(most, await trial.metric('producer', 'process_resident_memory_bytes'));
          return (await trial.count('producer', 'select count(*) from messaging.outbox')) === 0;
        },
        90,
      );
      trial.prove(
        waiting > 500 && unknowns === 0,
        `${waiting} events piled up, no command failed; the producer grew from ${Math.round(before / 1e6)} to ${Math.round(most / 1e6)} MB`,
      );
    },
  },
  {
    name: 'thundering-herd',
    what: 'Eight processes with some fifty connections lose RabbitMQ at the same moment, for five seconds.',
    notice: 'Effects wait until it is back; the processes come back one by one.',
    target: 30,
    seconds: 25,
    load: { seconds: 12 },
    services: {
      producer: {},
      'producer-b': { service: 'producer' },
      consumer: {},
      ...Object.fromEntries(['b', 'c', 'd'].map((letter) => [`consumer-${letter}`, { service: 'consumer' }])),
      latecomer: {},
      'latecomer-b': { service: 'latecomer' },
    },
    async run(trial) {
      await trial.load.reached(0.3);
      const before = (await trial.broker.connections(trial.vhost)).length;
      await trial.broker.ctl('stop_app');
      await trial.sleep(5);
      await trial.broker.ctl('start_app');
      trial.healed();
      const times = await trial.until(
        'all are connected',
        async () => {
          const now = await trial.broker.connectedAt(trial.vhost);
          return now.length >= before && now;
        },
        60,
      );
      const spread = ((times.at(-1) ?? 0) - (times[0] ?? 0)) / 1_000;
      const most = Math.max(...times.map((from) => times.filter((at) => at >= from && at < from + 100).length));
      trial.prove(
        spread > 1 && most <= times.length / 2,
        `${before} connections were lost and ${times.length} built again within ${spread.toFixed(1)} s, at most ${most} of them in a tenth of a second`,
      );
    },
  },
  {
    name: 'timers-and-kill',
    what: 'Half of the plain commands set a timer, and the producer is killed when timers have fired but are not committed, five times.',
    notice: 'Timers fire some seconds late; commands fail while the producer is down, and may be repeated.',
    target: 30,
    seconds: 15,
    load: { seconds: 12, timers: 0.5 },
    services: {
      producer: { failpoints: [6, 3, 9, 2, 5].map((hit) => `timers.beforeCommit=kill@${hit}`) },
      consumer: {},
    },
    async run(trial) {
      const kills = () => trial.producer.ends.filter(({ signal }) => signal === 'SIGKILL').length;
      await trial.until('the producer has died 5 times', () => kills() >= 5, 120);
      await trial.producer.ready();
      trial.healed();
      await trial.load.done();
      const left = () => trial.count('producer', 'select count(*) from messaging.timers');
      await trial.until('all timers have fired', async () => (await left()) === 0);
      // That each has fired once is for the checker: its event belongs to the command that has set it.
      const timers = trial.load.plan.filter(({ events }) => events.some(({ afterMs }) => afterMs !== undefined));
      const fired = await trial.count(
        'producer',
        `select count(*) from messaging.events join unnest($1::text[], $2::int[]) as timer (id, index)
           on data ->> 'commandId' = timer.id and (data ->> 'index')::int = timer.index`,
        [timers.map(({ id }) => id), timers.map(({ events }) => events.length - 1)],
      );
      trial.prove(
        fired === timers.length && fired > 100,
        `the producer died ${kills()} times in front of a COMMIT of timers; ${fired} of ${timers.length} have fired`,
      );
    },
  },
  {
    name: 'clocks-wrong',
    what: 'The clock of the producer is an hour fast and jumps back two hours under load; that of the consumer is an hour slow.',
    notice: 'Times shown are wrong; order and effects are not touched.',
    target: 30,
    seconds: 5,
    load: { seconds: 10 },
    services: {
      producer: { env: { NODE_OPTIONS: skewed, FAULTS_CLOCK: '3600:8:-3600' } },
      consumer: { env: { NODE_OPTIONS: skewed, FAULTS_CLOCK: '-3600:8:-3600' } },
    },
    async run(trial) {
      await trial.load.done();
      /** How many hours the times in a log are off. @param {string} log */
      const offsetsIn = (log) =>
        [...log.matchAll(/"time":"([^"]+)"/g)].map(([, time]) =>
          Math.round((Date.parse(/** @type {string} */ (time)) - Date.now()) / 3_600_000),
        );
      const [producer, consumer] = [offsetsIn(trial.producer.log()), offsetsIn(trial.consumer.log())];
      trial.healed();
      trial.prove(
        producer.includes(1) && producer.includes(-1) && consumer.every((hours) => hours === -1),
        'the log of the producer jumps from an hour ahead to an hour behind, that of the consumer is an hour behind',
      );
    },
  },
];
