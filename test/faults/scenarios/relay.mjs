import { isSuspended } from './instances.mjs';

/** @typedef {import('../harness/trial.mjs').Trial} Trial */

/** A producer whose relays are processes of their own: one works, the others stand by. @param {Record<string, import('../harness/types.js').ServiceOptions>} relays */
const withRelays = (relays) => ({
  producer: { env: { ROLES: 'api,inbox,workers' } },
  ...Object.fromEntries(
    Object.entries(relays).map(([id, options]) => [id, { ...options, service: 'producer', env: { ROLES: 'relay' } }]),
  ),
  consumer: {},
});

/** @param {string} point @param {number[]} hits */
const dying = (point, hits) =>
  withRelays({
    'relay-a': { failpoints: hits.map((hit) => `${point}=kill@${hit}`) },
    'relay-b': { failpoints: hits.map((hit) => `${point}=kill@${hit + 2}`) },
  });

/** @param {Trial} trial @param {number} times @param {string} when */
async function relaysDie(trial, times, when) {
  const killed = () =>
    ['relay-a', 'relay-b'].flatMap((id) => trial.service(id).ends).filter(({ signal }) => signal === 'SIGKILL').length;
  await trial.until(`relays have died ${times} times`, () => killed() >= times, 90);
  trial.healed();
  trial.prove(killed() >= times, `relays died ${killed()} times ${when}`);
}

/** The relays that say that they are the active one. @param {Trial} trial @param {string[]} ids */
async function active(trial, ids) {
  const states = await Promise.all(ids.map(async (id) => ({ id, health: await trial.service(id).health() })));
  return states.filter(({ health }) => health?.checks?.relay?.active).map(({ id }) => id);
}

/** Faults of the relay: it dies at the worst moments, hangs, is there several times. @type {import('../harness/types.js').Scenario[]} */
export const relayScenarios = [
  {
    name: 'relay-dies-after-read',
    what: 'The active relay is killed when it has read events and not published them, three times; another takes over.',
    notice: 'Effects arrive up to two seconds later.',
    target: 30,
    services: dying('relay.afterRead', [5, 3]),
    run: (trial) => relaysDie(trial, 3, 'between reading and publishing'),
  },
  {
    name: 'relay-dies-after-publish',
    what: 'The active relay is killed when it has published events and has no confirm yet, three times.',
    notice: 'Effects arrive up to two seconds later.',
    target: 30,
    short: true,
    services: dying('relay.afterPublish', [9, 6]),
    run: (trial) => relaysDie(trial, 3, 'between publish and confirm'),
  },
  {
    name: 'relay-dies-after-confirm',
    what: 'The active relay is killed when events are confirmed and still in the outbox, three times: they are published twice.',
    notice: 'Nothing but a short delay: the second copy is recognised and dropped.',
    target: 30,
    short: true,
    services: dying('relay.afterConfirm', [8, 5]),
    async run(trial) {
      await relaysDie(trial, 3, 'between confirm and delete');
      const dropped = await trial.until('duplicates come', () => trial.metric('consumer', 'inbox_duplicates_total'));
      trial.prove(dropped > 0, `${dropped} events arrived twice and were dropped`);
    },
  },
  {
    name: 'five-relays',
    what: 'Five relays run at once, and the active one is killed three times.',
    notice: 'Effects arrive up to two seconds later.',
    target: 30,
    load: { seconds: 10 },
    services: withRelays({ 'relay-a': {}, 'relay-b': {}, 'relay-c': {}, 'relay-d': {}, 'relay-e': {} }),
    async run(trial) {
      const ids = ['a', 'b', 'c', 'd', 'e'].map((letter) => `relay-${letter}`);
      /** @type {Set<string>} */
      const leaders = new Set();
      for (const share of [0.2, 0.45, 0.7]) {
        await trial.load.reached(share);
        const [leader] = await trial.until('one relay is active', async () => {
          const now = await active(trial, ids);
          if (now.length > 1) throw new Error(`two relays are active: ${now}`);
          return now.length === 1 && now;
        });
        leaders.add(/** @type {string} */ (leader));
        await trial.service(/** @type {string} */ (leader)).kill();
      }
      trial.healed();
      trial.prove(
        leaders.size >= 2,
        `${leaders.size} of five relays were the active one in turn, never two at once; 3 were killed`,
      );
    },
  },
  {
    name: 'relay-suspended',
    what: 'The active relay is suspended (SIGSTOP) with events that it has read, for 30 s, and goes on with them when it wakes up.',
    notice: 'For up to 15 s nothing arrives, until another relay takes over.',
    target: 30,
    seconds: 30,
    load: { seconds: 40 },
    services: withRelays({ 'relay-a': { failpoints: ['relay.afterRead=stop@6'] }, 'relay-b': { manual: true } }),
    async run(trial) {
      const zombie = trial.service('relay-a');
      await trial.until('the relay is suspended', () => isSuspended(zombie.pid));
      const since = Date.now();
      await trial.service('relay-b').start();
      await trial.until('the other relay takes over', async () => (await active(trial, ['relay-b'])).length === 1, 20);
      const seconds = (Date.now() - since) / 1_000;
      await trial.sleep(Math.max(0, 30 - seconds));
      zombie.signal('SIGCONT');
      trial.healed();
      trial.prove(
        seconds <= 15 * trial.patience,
        `the other relay took over ${seconds.toFixed(1)} s after the first was suspended`,
      );
    },
  },
  {
    name: 'relay-lock-half-open',
    what: 'The connection of the active relay to its database swallows everything, for 30 s.',
    notice: 'For up to 15 s nothing arrives, until another relay takes over.',
    target: 30,
    seconds: 30,
    load: { seconds: 50 },
    services: withRelays({ 'relay-a': { proxied: ['database'] }, 'relay-b': { manual: true } }),
    async run(trial) {
      await trial.service('relay-b').start();
      await trial.load.reached(0.3);
      trial.prove((await active(trial, ['relay-a'])).length === 1, 'relay-a was active');
      trial.proxy('relay-a.database').blackHole();
      const since = Date.now();
      await trial.until('the other relay takes over', async () => (await active(trial, ['relay-b'])).length === 1, 25);
      const seconds = (Date.now() - since) / 1_000;
      await trial.sleep(Math.max(0, 30 - seconds));
      trial.proxy('relay-a.database').pass();
      trial.healed();
      trial.prove(seconds <= 15 * trial.patience, `relay-b took over after ${seconds.toFixed(1)} s`);
    },
  },
  {
    name: 'late-commits',
    what: 'A fifth of the commands keep their transaction open for up to 2 s, another fifth is rolled back: positions commit out of order.',
    notice: 'Nothing.',
    target: 30,
    seconds: 10,
    books: 1_000,
    load: { late: 0.2, rolledBack: 0.25, concurrency: 48 },
    async run(trial) {
      await trial.load.done();
      trial.healed();
      const { plan, outcomes } = trial.load;
      const late = plan.filter(({ id, pauseMs = 0 }) => pauseMs > 500 && outcomes.get(id) === 'ok').length;
      const failed = [...outcomes.values()].filter((outcome) => outcome === 'failed').length;
      trial.prove(
        late > 0 && failed > 0,
        `${late} commands were done that keep their transaction open for more than half a second, ${failed} were rolled back`,
      );
    },
  },
  {
    name: 'long-transactions',
    what: 'A transaction stays open for 20 s in the database of the producer, and one in another database of the same server.',
    notice: 'Nothing; only the books of these 20 s are closed later.',
    target: 30,
    seconds: 15,
    books: 1_000,
    load: { seconds: 26 },
    async run(trial) {
      await trial.load.reached(0.1);
      const letGo = [
        await trial.databases.hold(
          'producer',
          "lock table messaging.pages in access share mode; insert into repaired values ('long')",
        ),
        await trial.databases.hold('consumer', `insert into repaired values ('long')`),
      ];
      const before = await trial.count('consumer', `select count(*) from effects`);
      await trial.sleep(20);
      const after = await trial.count('consumer', `select count(*) from effects`);
      for (const end of letGo) await end();
      trial.healed();
      trial.prove(after > before, `${after - before} effects were written while both transactions were open`);
    },
  },
  {
    name: 'oversized-events',
    what: 'Fifty commands try to record an event of 300 kB; the outbox refuses it, and the service answers with 422.',
    notice: 'These commands are refused; nothing of them is kept.',
    target: 20,
    load: { oversized: 50 },
    async run(trial) {
      await trial.load.done();
      trial.healed();
      const large = trial.load.plan.filter(({ events }) => events.some(({ paddingBytes }) => paddingBytes));
      const refused = large.filter(({ id }) => trial.load.outcomes.get(id) === 'failed').length;
      trial.prove(
        refused === large.length && refused >= 50,
        `${refused} of ${large.length} commands with an oversized event were refused with a 4xx`,
      );
    },
  },
];
