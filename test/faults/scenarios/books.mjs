import { withinTwoMinutes } from './two-minutes.mjs';

/** @typedef {import('../harness/trial.mjs').Trial} Trial */

const NOTED = 'producer.account.noted.v1';

/** Without any effect of the consumer that was there before, while another one pulls history. */
const LONGEST_PAUSE_MS = 5_000;

/** Starts the consumer again as another version of itself. @param {Trial} trial @param {string} late */
async function update(trial, late) {
  await trial.consumer.stop();
  const applied = await trial.rows('consumer', `select event_id from effects where reaction = 'Record' and type = $1`, [
    NOTED,
  ]);
  trial.consumer.options.env.FAULTS_LATE = late;
  await trial.consumer.start();
  return new Set(applied.map((row) => row.event_id));
}

/**
 * What the consumer that was there before does while another one pulls history.
 * @param {Trial} trial
 */
async function watchLive(trial) {
  const recorded = () => trial.count('producer', 'select count(*) from messaging.events');
  const applied = () => trial.count('consumer', `select count(*) from effects where reaction = 'Record'`);
  let done = await applied();
  const first = done;
  const atFirst = (await recorded()) - done;
  let since = Date.now();
  let [behind, pause] = [0, 0];
  const look = async () => {
    const [now, all] = [await applied(), await recorded()];
    behind = Math.max(behind, all - now);
    // With nothing to do, it does not pause.
    if (now > done || now >= all) since = Date.now();
    pause = Math.max(pause, Date.now() - since);
    done = now;
  };
  const timer = setInterval(() => void look().catch(() => {}), 250);
  trial.cleanUps.push(() => clearInterval(timer));
  return {
    /** @param {number} [mostBehind] in events, where the load alone does not outrun the machine */
    prove(mostBehind = Infinity) {
      clearInterval(timer);
      trial.prove(
        done > first && behind < mostBehind * trial.patience && pause < LONGEST_PAUSE_MS * trial.patience,
        `meanwhile the old consumer applied ${done - first} events, was at most ${behind} behind (${atFirst} at first) and paused for at most ${(pause / 1_000).toFixed(1)} s`,
      );
    },
  };
}

/** New subscribers, new reactions, and databases that are taken back to an older state. @type {import('../harness/types.js').Scenario[]} */
export const booksScenarios = [
  {
    name: 'new-service-joins',
    what: 'A service that has never existed starts in the middle of the load; nobody tells the producer.',
    ...withinTwoMinutes,
    notice: 'The new service has all of history within a few looks at the books; the others notice nothing.',
    load: { seconds: 10 },
    services: { producer: {}, consumer: {}, latecomer: { manual: true } },
    async run(trial) {
      await trial.load.reached(0.5);
      const before = await trial.count('producer', 'select count(*) from messaging.events');
      const others = await watchLive(trial);
      await trial.service('latecomer').start();
      await trial.service('latecomer').ready();
      trial.healed();
      await trial.until('history is pulled', () => trial.service('latecomer').count(/pulling them from the log/g), 60);
      await trial.until('it has caught up', () => trial.service('latecomer').count(/caught up with/g), 60);
      trial.prove(before > 0, `${before} events had been recorded before the new service was there`);
      others.prove(3_000);
    },
  },
  {
    name: 'replay-under-load',
    what: 'A new service starts behind a long log while live traffic goes on: what is ahead must not pile up in its database.',
    notice: 'The new service catches up while it also receives what is new; the others notice nothing.',
    target: 90,
    seconds: 40,
    books: 1_000,
    load: { seconds: 30, times: 4, perCommand: 12 },
    services: { producer: {}, consumer: {}, latecomer: { manual: true } },
    async run(trial) {
      await trial.load.reached(0.6);
      const before = await trial.count('producer', 'select count(*) from messaging.events');
      const parked = trial.databases.sample('latecomer', 'select 1 as parked from messaging.parked_events');
      const others = await watchLive(trial);
      await trial.service('latecomer').start();
      await trial.service('latecomer').ready();
      trial.healed();
      await trial.until('history is pulled', () => trial.service('latecomer').count(/caught up with/g), 120);
      others.prove();
      await trial.load.done();
      parked.stop();
      const ceiling = 6_000; // a chunk of the log, and a little
      trial.prove(
        parked.most < ceiling,
        `${before} events were replayed under load; at most ${parked.most} waited in the new service`,
      );
    },
  },
  {
    name: 'new-reaction-undeclared',
    what: 'The consumer is updated with a reaction that says nothing about the history it has missed.',
    notice: 'That inbox does not start and says what to do; events wait until the next version.',
    target: 30,
    seconds: 10,
    load: { seconds: 10 },
    async run(trial) {
      await trial.load.reached(0.5);
      await update(trial, 'undeclared');
      const refusal = await trial.until('the inbox refuses to start', () =>
        /CountUndeclaredOnNoted.*new in the inbox.*from now on.*inbox of its own/.exec(trial.consumer.log()),
      );
      trial.prove(refusal, `it said: ${refusal?.[0].slice(0, 90)} …`);
      const applied = await trial.count('consumer', `select count(*) from effects where reaction = 'CountUndeclared'`);
      trial.prove(applied === 0, 'the new reaction did not run');
      await trial.consumer.stop();
      delete trial.consumer.options.env.FAULTS_LATE;
      await trial.consumer.start();
      await trial.consumer.ready();
      trial.healed();
    },
  },
  {
    name: 'new-reaction-from-now-on',
    what: 'The consumer is updated with a reaction that wants to see only what happens from now on.',
    notice: 'Nothing.',
    target: 30,
    seconds: 5,
    load: { seconds: 10 },
    reactions: { consumer: { [NOTED]: ['CountFromNowOn'] } },
    async run(trial) {
      await trial.load.reached(0.5);
      const before = await update(trial, 'from-now-on');
      trial.except.exempt.set('consumer CountFromNowOn', before);
      await trial.consumer.ready();
      trial.healed();
      trial.prove(before.size > 0, `${before.size} events had been applied before the reaction was there`);
    },
  },
  {
    name: 'new-reaction-with-history',
    what: 'The consumer is updated with a reaction in an inbox of its own, which starts from the beginning of history.',
    ...withinTwoMinutes,
    notice: 'The new reaction has all of history within a few looks at the books.',
    load: { seconds: 10 },
    reactions: { consumer: { [NOTED]: ['CountFromTheBeginning'] } },
    async run(trial) {
      await trial.load.reached(0.5);
      const before = await update(trial, 'from-the-beginning');
      trial.except.moreInboxes.consumer = { 'consumer.count': ['producer.account'] };
      await trial.consumer.ready();
      trial.healed();
      const missing = () => trial.rows('producer', 'select id from messaging.events where type = $1', [NOTED]);
      await trial.load.done();
      await trial.until(
        'all of history is there',
        async () => {
          const counted = await trial.count(
            'consumer',
            `select count(*) from effects where reaction = 'CountFromTheBeginning'`,
          );
          return counted >= (await missing()).length;
        },
        90,
      );
      trial.prove(before.size > 0, `${before.size} events had happened before the reaction was there`);
    },
  },
  {
    name: 'consumer-restored',
    what: 'The database of a consumer is taken back to an older state, while the producer goes on.',
    ...withinTwoMinutes,
    notice: 'Its state is old for as long as a few looks at the books; then it is as if nothing had happened.',
    load: { seconds: 12 },
    services: { producer: {}, consumer: {}, latecomer: {} },
    async run(trial) {
      const service = trial.service('latecomer');
      const applied = () => trial.count('latecomer', 'select count(*) from effects');
      await trial.load.reached(0.3);
      await service.stop();
      const then = await applied();
      await trial.databases.backUp('latecomer');
      await service.start();
      await trial.load.reached(0.8);
      await trial.until('it has applied more', async () => (await applied()) > then + 20);
      await service.stop();
      const now = await applied();
      await trial.databases.restore('latecomer');
      await service.start();
      await service.ready();
      trial.healed();
      trial.prove(now > then, `${now - then} effects were forgotten with the state that was lost`);
      await trial.until('the events are pulled', () => service.count(/pulling them from the log/g), 60);
    },
  },
  {
    name: 'producer-restored',
    what: 'The database of the producer is taken back to an older state; the operator starts a new epoch, as documented.',
    notice:
      'What was acknowledged after the backup is forgotten by the producer; the consumers keep its effects, and new events flow.',
    target: 45,
    seconds: 20,
    books: 1_000,
    load: { seconds: 12 },
    async run(trial) {
      await trial.load.reached(0.3);
      await trial.producer.stop();
      await trial.databases.backUp('producer');
      await trial.producer.start();
      await trial.load.reached(0.6);
      await moreThanBackedUp(trial);
      await trial.producer.stop();
      const forgotten = await forget(trial);
      await trial.databases.restore('producer');
      await trial.operator('producer', 'log', 'new-epoch', '--yes');
      await trial.producer.start();
      await trial.producer.ready();
      trial.healed();
      await trial.load.done();
      const epochs = await trial.count('producer', 'select count(distinct epoch) from messaging.events');
      trial.prove(
        epochs === 2 && forgotten > 0,
        `the producer forgot ${forgotten} events and went on in a second epoch`,
      );
    },
  },
  {
    name: 'producer-restored-unnoticed',
    what: 'The same, but nobody starts a new epoch at first: the producer uses sequences a second time.',
    notice:
      'The consumers hold everything of that log, visibly, until a new epoch is started; the contradiction itself stays held.',
    target: 45,
    seconds: 25,
    books: 1_000,
    load: { seconds: 30 },
    async run(trial) {
      await trial.load.reached(0.25);
      await trial.producer.stop();
      await trial.databases.backUp('producer');
      const old = await trial.databases.backedUp('producer', 'select id, type from messaging.events');
      await trial.producer.start();
      await trial.load.reached(0.5);
      await moreThanBackedUp(trial);
      await trial.until('the consumer has had all that is in the backup', async () => hasHad(trial, old), 45);
      await trial.producer.stop();
      await forget(trial);
      await trial.databases.restore('producer');
      await trial.producer.start();
      const [{ reason }] = await trial.until(
        'the fork is found',
        async () => {
          const rows = await trial.rows('consumer', 'select reason from messaging.inbox_holds');
          return rows.length > 0 && rows;
        },
        60,
      );
      trial.prove(reason, `the consumer held the log: ${reason.slice(0, 140)} …`);
      await trial.producer.stop();
      // What it told in its second life is held for good; what is in the backup has had its effects.
      const kept = new Set(old.map((row) => row.id));
      const now = await trial.rows('producer', 'select id from messaging.events');
      trial.except.contradictory = new Set(now.map((row) => row.id).filter((id) => !kept.has(id)));
      trial.evidence.push(`${trial.except.contradictory.size} events contradict what was applied, and stay held`);
      await trial.operator('producer', 'log', 'new-epoch', '--yes');
      await trial.producer.start();
      await trial.producer.ready();
      trial.healed();
    },
  },
];

/** Commands that are sent while the producer starts fail, so it may have recorded nothing yet. @param {Trial} trial */
const moreThanBackedUp = (trial) =>
  trial.until('the producer has recorded more than is in the backup', async () => {
    const count = 'select count(*)::int as n from messaging.events';
    const [old] = await trial.databases.backedUp('producer', count);
    return (await trial.count('producer', count)) > old.n + 20;
  });

/** Whether the consumer has applied all of these events. @param {Trial} trial @param {{ id: string, type: string }[]} events */
async function hasHad(trial, events) {
  const rows = await trial.rows('consumer', 'select event_id, reaction from effects');
  const had = new Set(rows.map((row) => `${row.event_id} ${row.reaction}`));
  const expected = trial.expected('consumer');
  return events.every(({ id, type }) => (expected[type] ?? []).every((reaction) => had.has(`${id} ${reaction}`)));
}

/** The events and commands that will be gone after the restore. @param {Trial} trial @returns {Promise<number>} how many events */
async function forget(trial) {
  const old = await trial.databases.backedUp('producer', 'select id from messaging.events');
  const kept = new Set(old.map((row) => row.id));
  const now = await trial.rows('producer', 'select id, type, data from messaging.events');
  const gone = now.filter(({ id }) => !kept.has(id));
  trial.except.forgottenEvents = /** @type {any} */ (gone);
  for (const { id, data } of gone) {
    trial.except.forgotten.add(data.commandId);
    for (const name of trial.names) trial.except.allowed.add(`${name} ${id}`);
  }
  const [{ epoch }] = await trial.rows('producer', 'select epoch from messaging.log');
  trial.except.brokenEpochs.add(epoch);
  return gone.length;
}
