/**
 * What is switched off, which scenario must notice, and how. The guards themselves are in the code, as `sabotaged('…')`.
 * @type {{ guard: string, what: string, scenario: string, shows: RegExp }[]}
 */
export const sabotages = [
  {
    guard: 'no-gate',
    what: 'Every delivery is applied, whether it was applied before or not.',
    scenario: 'events-shuffled-and-repeated',
    shows: /^duplicated: /,
  },
  {
    guard: 'no-sequence-check',
    what: 'Events are applied as they come; only those behind are dropped.',
    scenario: 'events-shuffled-and-repeated',
    shows: /^lost: |not so: |in vain until events are ahead/,
  },
  {
    guard: 'gate-key-without-aggregate',
    what: 'An account and a ticket with the same id share one gate.',
    scenario: 'nothing-happens',
    shows: /^lost: /,
  },
  {
    guard: 'inbox-key-without-inbox',
    what: 'All inboxes of a service share one gate.',
    scenario: 'nothing-happens',
    shows: /^lost: /,
  },
  {
    guard: 'ack-before-commit',
    what: 'Deliveries are acknowledged before they are applied.',
    scenario: 'consumer-dies-before-commit',
    shows: /^lost: /,
  },
  {
    guard: 'automatic-ack',
    what: 'Deliveries count as acknowledged when they are sent.',
    scenario: 'consumer-killed',
    shows: /^lost: /,
  },
  {
    guard: 'requeue-as-retry',
    what: 'What fails goes back to the queue instead of being parked.',
    scenario: 'poison-throws',
    shows: /in vain until 3 event\(s\) have failed 2 times/,
  },
  {
    guard: 'overlapping-everything',
    what: 'All reactions of a batch overlap, whatever they touch.',
    scenario: 'nothing-happens',
    shows: /^sums: |^outOfOrder: /,
  },
  {
    guard: 'effects-in-own-transaction',
    what: 'Reactions write outside of the transaction of the inbox.',
    scenario: 'consumer-dies-before-commit',
    shows: /^duplicated: /,
  },
  {
    guard: 'ignored-commit-tag',
    what: 'A COMMIT that Postgres answered with ROLLBACK counts as committed.',
    scenario: 'nothing-happens',
    shows: /^lost: command /,
  },
  {
    guard: 'no-look-for-successors',
    what: 'Nobody wakes parked events, nor looks for those, whose predecessor is through.',
    scenario: 'nothing-happens',
    shows: /^not at rest: consumer: \d+ parked/,
  },
  {
    guard: 'outbox-outside-transaction',
    what: 'Events are recorded on a connection that commits by itself.',
    scenario: 'nothing-happens',
    shows: /^unexpected: |^duplicated: /,
  },
  {
    guard: 'outbox-outside-transaction',
    what: 'The same: what a reaction records stays when the reaction is rolled back and runs again.',
    scenario: 'reactions-record-and-fail',
    shows: /^unexpected: consumer: \d+ receipt/,
  },
  {
    guard: 'mark-before-confirm',
    what: 'Events leave the outbox when they are sent, not when the broker has confirmed them.',
    scenario: 'connections-reset',
    shows: /^lost: /,
  },
  {
    guard: 'cursor-relay',
    what: 'The relay reads on from the last position and never looks back.',
    scenario: 'late-commits',
    shows: /^not at rest: \w+: \d+ in the outbox/,
  },
  {
    guard: 'two-relays',
    what: 'Every relay believes that it is the active one.',
    scenario: 'five-relays',
    shows: /two relays are active/,
  },
  {
    guard: 'ask-before-bind',
    what: 'The inbox looks at the books once, before its queue is bound, and never again (every later look would repair it).',
    scenario: 'new-service-joins',
    shows: /in vain until history is pulled/,
  },
  {
    guard: 'pages-settled-at-once',
    what: 'A page is counted although transactions that began before its end are still open.',
    scenario: 'late-commits',
    shows: /^books: |^not at rest: /,
  },
];
