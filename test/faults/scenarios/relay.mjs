/** @typedef {import('../harness/trial.mjs').Trial} Trial */

/** A producer whose relays are processes of their own: one works, the other stands by. @param {string[]} failpoints */
const withRelays = (failpoints) => ({
  producer: { env: { ROLES: 'api,inbox,workers' } },
  'relay-a': { service: 'producer', env: { ROLES: 'relay' }, failpoints },
  'relay-b': { service: 'producer', env: { ROLES: 'relay' }, failpoints },
  consumer: {},
});

/** @param {Trial} trial @param {number} times @param {string} when */
async function relaysDie(trial, times, when) {
  const killed = () =>
    ['relay-a', 'relay-b'].flatMap((id) => trial.service(id).ends).filter(({ signal }) => signal === 'SIGKILL').length;
  await trial.until(`relays have died ${times} times`, () => killed() >= times, 90);
  trial.healed();
  trial.prove(killed() >= times, `relays died ${killed()} times ${when}`);
}

/** Faults of the relay: it dies at the worst moments, hangs, is there twice. @type {import('../harness/types.js').Scenario[]} */
export const relayScenarios = [
  {
    name: 'relay-dies-after-read',
    what: 'The active relay is killed when it has read events and not published them, three times; the other takes over.',
    notice: 'Effects arrive up to two seconds later.',
    target: 15,
    services: withRelays(['relay.afterRead=kill@5', 'relay.afterRead=kill@5']),
    run: (trial) => relaysDie(trial, 3, 'between reading and publishing'),
  },
  {
    name: 'relay-dies-after-publish',
    what: 'The active relay is killed when it has published events and has no confirm yet, three times.',
    notice: 'Effects arrive up to two seconds later.',
    target: 15,
    short: true,
    services: withRelays(['relay.afterPublish=kill@9', 'relay.afterPublish=kill@7']),
    run: (trial) => relaysDie(trial, 3, 'between publish and confirm'),
  },
  {
    name: 'relay-dies-after-confirm',
    what: 'The active relay is killed when events are confirmed and still in the outbox, three times: they are published twice.',
    notice: 'Nothing but a short delay: the second copy is recognised and dropped.',
    target: 15,
    short: true,
    services: withRelays(['relay.afterConfirm=kill@8', 'relay.afterConfirm=kill@6']),
    async run(trial) {
      await relaysDie(trial, 3, 'between confirm and delete');
      const dropped = await trial.until('duplicates come', () => trial.metric('consumer', 'inbox_duplicates_total'));
      trial.prove(dropped > 0, `${dropped} events arrived twice and were dropped`);
    },
  },
];
