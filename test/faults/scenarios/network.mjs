/** Faults between the services and their servers, by a proxy. @type {import('../harness/types.js').Scenario[]} */
export const networkScenarios = [
  {
    name: 'connections-reset',
    what: 'All connections to RabbitMQ are reset twice a second for eight seconds.',
    notice: 'Effects arrive when a connection holds; commands are answered as always.',
    target: 20,
    short: true,
    load: { seconds: 8 },
    services: { producer: { proxied: ['broker'] }, consumer: { proxied: ['broker'] } },
    async run(trial) {
      await trial.load.reached(0.1);
      const proxies = [trial.proxy('producer.broker'), trial.proxy('consumer.broker')];
      const before = proxies.map(({ accepted }) => accepted);
      for (let resets = 0; resets < 16; resets++) {
        for (const proxy of proxies) proxy.reset();
        await trial.sleep(0.5);
      }
      trial.healed();
      const again = proxies.map(({ accepted }, i) => accepted - (before[i] ?? 0));
      trial.prove(again.every((count) => count > 5), `16 resets; producer and consumer connected ${again.join(' and ')} more times`);
    },
  },
];
