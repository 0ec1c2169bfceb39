/** @typedef {import('../harness/trial.mjs').Trial} Trial */

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
      const limit = (/** @type {number} */ bytes) =>
        trial.broker.ctl('eval', `application:set_env(rabbit, max_message_size, ${bytes}).`);
      await limit(60_000);
      await trial.broker.ctl('stop_app'); // a backlog makes large batches, a new channel knows the limit
      trial.load.start();
      await trial.load.reached(0.7);
      await trial.broker.ctl('start_app');
      await trial.load.done();
      const aside = await trial.until(
        'the large events are set aside',
        async () => {
          const rows = await trial.rows(
            'producer',
            'select position, error from messaging.unpublishable order by position',
          );
          return rows.length >= 3 && rows;
        },
        90,
      );
      trial.prove(aside.length === 3, `${aside.length} events were set aside: ${aside[0].error}`);
      await limit(134_217_728);
      await trial.broker.ctl('close_all_connections', '--vhost', trial.vhost, 'new limit');
      for (const { position } of aside)
        await trial.operator('producer', 'outbox', 'release', String(position), '--yes');
      trial.healed();
    },
  },
];
