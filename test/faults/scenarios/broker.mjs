/** Faults of the broker that its operator or its machine causes. @type {import('../harness/types.js').Scenario[]} */
export const brokerScenarios = [
  {
    name: 'broker-restarts',
    what: 'RabbitMQ is stopped and started again three times (stop_app, start_app), with three seconds in between.',
    notice: 'Effects wait until it is back; commands are answered as always.',
    target: 20,
    short: true,
    load: { seconds: 10 },
    async run(trial) {
      await trial.load.reached(0.2);
      for (let times = 0; times < 3; times++) {
        await trial.broker.ctl('stop_app');
        await trial.sleep(3);
        await trial.broker.ctl('start_app');
      }
      trial.healed();
      await trial.consumer.ready();
      const times = trial.consumer.count(/RabbitMQ consumer.*connected|connected.*RabbitMQ consumer/g);
      trial.prove(times >= 2, `the consumer connected ${times} times`);
    },
  },
  {
    name: 'queue-deleted',
    what: 'The queue of the consumer is deleted with the events in it, while the consumer is suspended.',
    notice: 'The events in it arrive within a few looks at the books (here every second, by default every 15 s).',
    target: 30,
    short: true,
    books: 1_000,
    async run(trial) {
      await trial.load.reached(0.3);
      trial.consumer.signal('SIGSTOP');
      const waiting = await trial.until('events wait in the queue', async () => {
        const queues = await trial.broker.queues(trial.vhost);
        return (queues.find(({ name }) => name === 'consumer.inbox')?.messages ?? 0) > 20 && queues;
      });
      const lost = waiting.find(({ name }) => name === 'consumer.inbox')?.messages;
      await trial.broker.api('DELETE', `queues/${trial.vhost}/consumer.inbox`);
      trial.consumer.signal('SIGCONT');
      trial.healed();
      trial.prove(lost, `the queue was deleted with ${lost} messages in it`);
      await trial.until('the events are pulled', () => trial.consumer.count(/pulling them from the log/g), 60);
      const pulls = trial.consumer.count(/pulling them from the log/g);
      trial.prove(pulls > 0, `the consumer pulled missing events ${pulls} times`);
    },
  },
];
