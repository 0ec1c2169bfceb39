// Switches off one guard of the backbone, so that the fault suite can show that it would notice (npm run test:sabotage).
// Does nothing unless NODE_ENV is "test" and SABOTAGE names a guard.

/** The guards that can be switched off. */
export const SABOTAGES = [
  'no-gate',
  'no-sequence-check',
  'gate-key-without-aggregate',
  'inbox-key-without-inbox',
  'ack-before-commit',
  'automatic-ack',
  'requeue-as-retry',
  'overlapping-everything',
  'effects-in-own-transaction',
  'ignored-commit-tag',
  'no-look-for-successors',
  'outbox-outside-transaction',
  'mark-before-confirm',
  'cursor-relay',
  'two-relays',
  'ask-before-bind',
  'pages-settled-at-once',
] as const;

const chosen = process.env.NODE_ENV === 'test' ? process.env.SABOTAGE : undefined;
if (chosen && !SABOTAGES.includes(chosen as never)) throw new Error(`SABOTAGE: there is no guard "${chosen}"`);

/** Whether this guard is switched off. */
export const sabotaged = (guard: (typeof SABOTAGES)[number]): boolean => chosen === guard;
