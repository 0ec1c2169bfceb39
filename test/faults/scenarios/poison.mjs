/** Events whose reaction does not work. @type {import('../harness/types.js').Scenario[]} */
export const poisonScenarios = [
  {
    name: 'poison-throws',
    what: 'Three events make their reaction throw every time, until it is repaired and an operator retries them.',
    notice: 'The three streams stand still, visibly; everything else flows.',
    target: 15,
    short: true,
    load: { flags: { throws: [10, 30, 50] } },
    async run(trial) {
      const [{ tried }] = await trial.until('all three have failed twice', async () => {
        const rows = await trial.rows('consumer', `select count(*)::int as tried from messaging.parked_events where error like '%poison%' and attempts >= 2`);
        return rows[0].tried >= 3 && rows;
      }, 60);
      await trial.load.done();
      const others = await trial.until('the others are through', async () => {
        const [row] = await trial.rows('consumer', `
          select count(*) filter (where state = 'waiting')::int as waiting, count(distinct (aggregate, subject))::int as streams,
                 (select count(*) from effects where reaction = 'Record')::int as done from messaging.parked_events`);
        return row.streams === 3 && row;
      }, 60);
      trial.prove(tried === 3, `three events failed at least twice each; ${others.waiting} events of 3 streams waited, ${others.done} others were applied`);
      await trial.repair('throws');
      trial.healed();
    },
  },
];
