/** Faults of the consumer: crashes at the worst moments, poison, duplicates and disorder. @type {import('../harness/types.js').Scenario[]} */
export const consumerScenarios = [
  {
    name: 'nothing-happens',
    what: 'No fault at all: the load, the misbehaving reactions and the checker.',
    notice: 'Nothing.',
    target: 10,
    async run(trial) {
      await trial.load.done();
      trial.prove(trial.load.outcomes.size > 0, `${trial.load.outcomes.size} commands answered`);
    },
  },
  {
    name: 'consumer-killed-repeatedly',
    what: 'The consumer is killed with SIGKILL five times while it works off the load.',
    notice: 'Effects arrive a second or two later; requests to other services are not affected.',
    target: 10,
    short: true,
    async run(trial) {
      for (const share of [0.15, 0.3, 0.45, 0.6, 0.75]) {
        await trial.load.reached(share);
        await trial.consumer.kill();
      }
      trial.healed();
      const kills = trial.consumer.ends.filter(({ signal }) => signal === 'SIGKILL').length;
      trial.prove(kills >= 5, `the consumer was killed ${kills} times`);
    },
  },
];
