/** Faults of processes and of those who run them. @type {import('../harness/types.js').Scenario[]} */
export const processScenarios = [
  {
    name: 'stopped-under-load',
    what: 'Producer and consumer are stopped with SIGTERM under load and started again, two times each.',
    notice: 'Requests that run are finished; new ones are refused until the next process is up.',
    target: 15,
    short: true,
    load: { seconds: 8 },
    async run(trial) {
      /** @type {string[]} */
      const ends = [];
      for (const [share, service] of /** @type {const} */ ([[0.15, trial.consumer], [0.35, trial.producer], [0.55, trial.consumer], [0.75, trial.producer]])) {
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
];
