/** Faults of Postgres. @type {import('../harness/types.js').Scenario[]} */
export const databaseScenarios = [
  {
    name: 'postgres-crashes',
    what: 'Postgres is stopped at once (pg_ctl -m immediate) and started again, twice; it serves both services.',
    notice: 'Commands fail with 503 for a second or two and may be repeated; effects wait.',
    target: 20,
    short: true,
    load: { seconds: 8 },
    async run(trial) {
      for (const share of [0.25, 0.6]) {
        await trial.load.reached(share);
        await trial.servers.crashPostgres();
      }
      trial.healed();
      const unknown = trial.load.unknowns;
      trial.prove(unknown > 0, `Postgres crashed twice, ${unknown} commands got no answer or a 5xx`);
    },
  },
  {
    name: 'backends-terminated',
    what: 'A random connection of each service to its database is terminated ten times a second for six seconds.',
    notice: 'Single commands fail with 5xx and may be repeated; effects wait for a moment.',
    target: 20,
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
];
