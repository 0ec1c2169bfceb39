/** @typedef {import('../harness/trial.mjs').Trial} Trial */

const brokerProxied = { producer: { proxied: ['broker'] }, consumer: { proxied: ['broker'] } };
const databaseProxied = { producer: { proxied: ['database'] }, consumer: { proxied: ['database'] } };

/** Faults between the services and their servers, made by a proxy. @type {import('../harness/types.js').Scenario[]} */
export const networkScenarios = /** @type {import('../harness/types.js').Scenario[]} */ ([
  {
    name: 'connections-reset',
    what: 'All connections to RabbitMQ are reset twice a second for eight seconds.',
    notice: 'Effects arrive when a connection holds; commands are answered as always.',
    target: 30,
    short: true,
    load: { seconds: 11 },
    services: brokerProxied,
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
      trial.prove(
        again.every((count) => count > 5),
        `16 resets; producer and consumer connected ${again.join(' and ')} more times`,
      );
    },
  },
  {
    name: 'broker-half-open',
    what: 'The network between both services and RabbitMQ swallows everything for thirty seconds.',
    notice: 'Effects wait until the network is back; commands are answered as always.',
    target: 30,
    seconds: 30,
    load: { seconds: 42 },
    services: brokerProxied,
    async run(trial) {
      await trial.load.reached(0.2);
      const proxies = [trial.proxy('producer.broker'), trial.proxy('consumer.broker')];
      for (const proxy of proxies) proxy.blackHole();
      const since = Date.now();
      await trial.until('the consumer notices', async () => (await trial.consumer.health())?.status === 'degraded', 30);
      const seconds = (Date.now() - since) / 1_000;
      await trial.sleep(Math.max(0, 30 - seconds));
      const { unknowns } = trial.load;
      for (const proxy of proxies) proxy.pass();
      trial.healed();
      trial.prove(unknowns === 0, `the consumer noticed after ${seconds.toFixed(1)} s; no command failed`);
    },
  },
  {
    name: 'confirms-lost',
    what: 'What RabbitMQ answers to the producer is lost for twenty-five seconds; what the producer sends arrives.',
    notice: 'Nothing, or a delay of some seconds: events are published twice and dropped once.',
    target: 30,
    seconds: 25,
    load: { seconds: 40 },
    services: { producer: { proxied: ['broker'] }, consumer: {} },
    async run(trial) {
      await trial.load.reached(0.3);
      trial.proxy('producer.broker').blackHole('toClient');
      await trial.sleep(25);
      trial.proxy('producer.broker').pass();
      trial.healed();
      const dropped = await trial.until('copies come', () => trial.metric('consumer', 'inbox_duplicates_total'));
      trial.prove(dropped > 0, `${dropped} events were published twice and dropped`);
    },
  },
  {
    name: 'slow-network',
    what: 'Every byte between the services and RabbitMQ takes 150 ms longer, for fifteen seconds.',
    notice: 'Effects arrive a second later.',
    target: 30,
    seconds: 10,
    load: { seconds: 20 },
    services: brokerProxied,
    async run(trial) {
      await trial.load.reached(0.1);
      const proxies = [trial.proxy('producer.broker'), trial.proxy('consumer.broker')];
      const applied = () => trial.count('consumer', 'select count(*) from effects');
      for (const proxy of proxies) proxy.delay(150);
      const before = await applied();
      await trial.sleep(15);
      const meanwhile = (await applied()) - before;
      for (const proxy of proxies) proxy.pass();
      trial.healed();
      trial.prove(meanwhile > 0, `${meanwhile} effects were written with 150 ms of latency in each direction`);
    },
  },
  {
    name: 'database-half-open',
    what: 'The network between both services and their databases swallows everything for twenty seconds.',
    notice: 'Commands are answered with 503 within five seconds and may be repeated; effects wait.',
    target: 30,
    seconds: 20,
    load: { seconds: 30, concurrency: 8 },
    services: databaseProxied,
    async run(trial) {
      await trial.load.reached(0.2);
      const proxies = [trial.proxy('producer.database'), trial.proxy('consumer.database')];
      for (const proxy of proxies) proxy.blackHole();
      await trial.sleep(0.5); // what was committed before is still answered
      trial.load.mark();
      await trial.sleep(20);
      const { answers, slowest } = trial.load;
      for (const proxy of proxies) proxy.pass();
      trial.healed();
      const said = [...answers].map(([status, count]) => `${count} × ${status}`).join(', ');
      trial.prove(answers.size === 1 && answers.has(503), `while nothing went through, the answers were ${said}`);
      trial.prove(slowest < 5_000 * trial.patience, `the slowest of them took ${(slowest / 1_000).toFixed(1)} s`);
    },
  },
  {
    name: 'commit-unanswered',
    what: 'Twenty times the answers of the databases are lost, so that COMMITs succeed and nobody knows.',
    notice: 'Single commands fail with 5xx; repeated with the same id they turn out to be done.',
    target: 45,
    seconds: 20,
    load: { seconds: 20 },
    services: databaseProxied,
    async run(trial) {
      await trial.load.reached(0.1);
      const proxies = [trial.proxy('producer.database'), trial.proxy('consumer.database')];
      for (let times = 0; times < 20; times++) {
        for (const proxy of proxies) proxy.blackHole('toClient');
        await trial.sleep(0.1);
        for (const proxy of proxies) proxy.reset();
        for (const proxy of proxies) proxy.pass();
        await trial.sleep(0.6);
      }
      trial.healed();
      await trial.load.done();
      const { unknowns, found } = trial.load;
      trial.prove(
        found > 0,
        `${unknowns} commands had no answer, ${found} of them were done already when they were repeated`,
      );
    },
  },
  {
    name: 'answers-lost',
    what: 'The connection between client and producer is reset twenty times, so that answers to commands are lost.',
    notice: 'The client repeats the command with the same id and gets its answer; nothing happens twice.',
    target: 20,
    seconds: 10,
    load: { seconds: 10, proxied: true },
    async run(trial) {
      await trial.load.reached(0.1);
      const proxy = trial.proxy('load');
      for (let times = 0; times < 20; times++) {
        proxy.blackHole('toClient');
        await trial.sleep(0.1);
        proxy.reset();
        proxy.pass();
        await trial.sleep(0.2);
      }
      trial.healed();
      await trial.load.done();
      const { unknowns, found } = trial.load;
      trial.prove(
        found > 0,
        `${unknowns} answers were lost, ${found} commands were done already when they were repeated`,
      );
    },
  },
]);
