import { moveToSmallDisk, whyNoSmallDisk } from '../harness/small-disk.mjs';

/** @typedef {import('../harness/trial.mjs').Trial} Trial */

/** Faults of Postgres. @type {import('../harness/types.js').Scenario[]} */
export const databaseScenarios = [
  {
    name: 'postgres-crashes',
    what: 'Postgres is stopped at once (pg_ctl -m immediate) and started again, twice; it serves both services.',
    notice: 'Commands fail with 503 for a second or two and may be repeated; effects wait.',
    target: 30,
    short: true,
    load: { seconds: 8 },
    async run(trial) {
      for (const share of [0.25, 0.6]) {
        await trial.load.reached(share);
        await trial.servers.crashPostgres();
      }
      trial.healed();
      const { unknowns } = trial.load;
      trial.prove(unknowns > 0, `Postgres crashed twice, ${unknowns} commands got no answer or a 5xx`);
    },
  },
  {
    name: 'backends-terminated',
    what: 'A random connection of each service to its database is terminated ten times a second for six seconds.',
    notice: 'Single commands fail with 5xx and may be repeated; effects wait for a moment.',
    target: 30,
    short: true,
    load: { seconds: 8 },
    async run(trial) {
      await trial.load.reached(0.1);
      let terminated = 0;
      for (const until = Date.now() + 6_000; Date.now() < until; await trial.sleep(0.1)) {
        for (const name of trial.names) {
          terminated += await trial.count(
            name,
            `select count(pg_terminate_backend(pid)) from (select pid from pg_stat_activity
             where datname = current_database() and application_name <> 'checker' order by random() limit 1) victim`,
          );
        }
      }
      trial.healed();
      trial.prove(terminated > 20, `${terminated} connections were terminated`);
    },
  },
  {
    name: 'deadlocks',
    what: 'Somebody else locks the rows that reactions and commands write, in the opposite order, so that they deadlock, and waits longer.',
    notice: 'Nothing but short delays.',
    target: 30,
    seconds: 10,
    load: { seconds: 40 },
    async run(trial) {
      await trial.load.reached(0.2);
      const deadlocks = (/** @type {string} */ name) =>
        trial.count(name, 'select deadlocks from pg_stat_database where datname = current_database()');
      const lock = (/** @type {string} */ table, /** @type {string} */ key, /** @type {string} */ row) =>
        `do $$ begin perform from ${table} where ${key} = '${row}' for update; end $$`;
      /** It waits for longer than Postgres does before it looks for a deadlock, so that the services are the ones who lose. */
      const patient = `set deadlock_timeout = '10s'; set lock_timeout = '3s'`;
      const totals = ['credit-4', 'credit-3', 'debit-4', 'credit-2', 'debit-3', 'credit-1', 'debit-2', 'credit-0'];
      const locks = {
        consumer: totals.map((bucket) => lock('totals', 'bucket', bucket)),
        producer: [9, 8, 7, 6, 5, 4, 3, 2, 1, 0].map((n) => lock('accounts', 'id', `a${n}`)),
      };
      const meet = async (/** @type {'consumer' | 'producer'} */ name) => {
        const [first, ...rest] = locks[name];
        for (let times = 0; times < 20; times++) {
          // In between, others take the second one and wait for the first.
          const end = await trial.databases.hold(name, patient, [`${first}; select pg_sleep(0.3)`, ...rest]);
          await end();
        }
      };
      const before = [await deadlocks('consumer'), await deadlocks('producer')];
      await Promise.all([meet('consumer'), meet('producer')]);
      trial.healed();
      const more = async () => {
        const counts = [await deadlocks('consumer'), await deadlocks('producer')];
        return counts.map((count, index) => count - (before[index] ?? 0));
      };
      const [inConsumer = 0, inProducer = 0] = await trial.until('Postgres reports deadlocks', async () => {
        const counts = await more();
        return (counts[0] ?? 0) > 0 && counts;
      });
      trial.prove(
        inConsumer > 0,
        `${inConsumer} times a transaction of the consumer lost a deadlock, ${inProducer} times one of the producer`,
      );
    },
  },
  {
    name: 'table-locked',
    what: 'A migration locks tables of both services exclusively for eight seconds.',
    notice: 'Commands fail with 5xx after three seconds; effects wait.',
    target: 30,
    seconds: 10,
    load: { seconds: 12 },
    async run(trial) {
      await trial.load.reached(0.2);
      const { unknowns } = trial.load;
      const ends = [
        await trial.databases.hold('producer', 'lock table accounts in access exclusive mode'),
        await trial.databases.hold('consumer', 'lock table effects in access exclusive mode'),
      ];
      await trial.sleep(8);
      for (const end of ends) await end();
      trial.healed();
      trial.prove(trial.load.unknowns > unknowns, `${trial.load.unknowns - unknowns} commands timed out`);
    },
  },
  {
    name: 'pool-exhausted',
    what: 'The producer has five connections for commands, and commands keep them busy for a second each.',
    notice: 'Commands queue and partly fail with 503; relay and inbox have connections of their own and go on.',
    target: 30,
    seconds: 15,
    load: { seconds: 10, late: 0.15, concurrency: 64 },
    services: { producer: { env: { DATABASE_POOL_SIZE: '5' } }, consumer: {} },
    async run(trial) {
      const effects = () => trial.count('consumer', 'select count(*) from effects');
      await trial.load.reached(0.2);
      trial.load.mark();
      const before = await effects();
      await trial.load.reached(0.9);
      const { answers, slowest } = trial.load;
      const meanwhile = (await effects()) - before;
      await trial.load.done();
      trial.healed();
      const refused = answers.get(503) ?? 0;
      const all = [...answers.values()].reduce((sum, count) => sum + count, 0);
      const answered = [...answers].reduce((sum, [status, count]) => sum + (typeof status === 'number' ? count : 0), 0);
      trial.prove(
        refused > 0,
        `64 requests at a time shared five connections: ${refused} of ${all} were refused with 503`,
      );
      // Who waits for a connection, then for an account that another command keeps, then takes its time, may reach 8 s.
      trial.prove(
        answered > all * 0.99,
        `${all - answered} had no answer within 8 s; the slowest took ${(slowest / 1_000).toFixed(1)} s`,
      );
      trial.prove(meanwhile > 100, `${meanwhile} effects were written meanwhile`);
    },
  },
  {
    name: 'disk-full',
    what: 'The disk with a table that reactions write to is full for ten seconds.',
    notice: 'Effects wait until there is room; commands are answered as always, and nothing is given up.',
    target: 30,
    seconds: 15,
    impossible: whyNoSmallDisk,
    load: { seconds: 8 },
    async run(trial) {
      await trial.load.reached(0.2);
      const makeRoom = await moveToSmallDisk(trial, { name: 'consumer', table: 'effects', freeBytes: 64_000 });
      await trial.until('the disk is full', () => trial.consumer.count(/could not extend file|No space left/g));
      await trial.sleep(10);
      const refused = trial.consumer.count(/could not extend file|No space left/g);
      const dead = await trial.count('consumer', `select count(*) from messaging.parked_events where state = 'dead'`);
      makeRoom();
      trial.healed();
      trial.prove(
        dead === 0 && trial.load.unknowns === 0,
        `Postgres had no space ${refused} times; no event was given up, no command failed`,
      );
    },
  },
];
