// Random days in the shop: what customers and the shop do, what arrives from users and when, and what the provider makes of it.
import fc from 'fast-check';
import type { Fate } from './scripted-provider.fixture.js';

const USERS = 4;
const SKUS = 3;

export type Step = { afterMs: number } & (
  | { do: 'order'; user: number; lines: { sku: number; quantity: number }[] }
  | { do: 'cancel'; order: number }
  | { do: 'put'; sku: number; delta: number }
);

/** What users has to tell of one user: so much of its stream arrives, in this order, duplicates included. */
export interface Stream {
  length: number;
  deliveries: { place: number; afterMs: number }[];
}

const ms = (max: number) => fc.integer({ min: 0, max });
const line = fc.record({ sku: fc.nat(SKUS - 1), quantity: fc.integer({ min: 1, max: 3 }) });
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('order' as const),
      afterMs: ms(400),
      user: fc.nat(USERS - 1),
      lines: fc.uniqueArray(line, { minLength: 1, maxLength: SKUS, selector: ({ sku }) => sku }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('cancel' as const), afterMs: ms(600), order: fc.nat(30) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('put' as const),
      afterMs: ms(600),
      sku: fc.nat(SKUS - 1),
      delta: fc.integer({ min: -2, max: 4 }),
    }),
  },
);
const stream: fc.Arbitrary<Stream> = fc.integer({ min: 0, max: 4 }).chain((length) =>
  fc
    .array(fc.nat(Math.max(0, length - 1)), { maxLength: 4 })
    .chain((again) =>
      fc.shuffledSubarray([...Array(length).keys(), ...(length > 0 ? again : [])], {
        minLength: length + (length > 0 ? again.length : 0),
      }),
    )
    .chain((places) =>
      fc.array(ms(700), { minLength: places.length, maxLength: places.length }).map((after) => ({
        length,
        deliveries: places.map((place, n) => ({ place, afterMs: after[n]! })),
      })),
    ),
);
const fate: fc.Arbitrary<Fate> = fc.record({
  outcome: fc.constantFrom('completed', 'completed', 'completed', 'failed', 'nothing'),
  delaysMs: fc.array(ms(900), { minLength: 1, maxLength: 3 }),
  forgetful: fc.boolean(),
  hangsUp: fc.boolean(),
});
export const day = fc.record({
  stock: fc.array(fc.integer({ min: 0, max: 8 }), { minLength: SKUS, maxLength: SKUS }),
  steps: fc.array(step, { minLength: 15, maxLength: 60 }),
  streams: fc.array(stream, { minLength: USERS, maxLength: USERS }),
  fates: fc.array(fate, { minLength: 1, maxLength: 12 }),
});
export type Day = typeof day extends fc.Arbitrary<infer T> ? T : never;
