import type { Tier } from '@app/contracts';
import { z } from 'zod';

/** What a user is to the shop. */
export interface Membership {
  points: number;
  tier: Tier;
}

/** What users say about themselves. */
export const profile = z.strictObject({
  name: z.string().trim().min(1).max(200).meta({ example: 'Alice' }),
  email: z.email().max(254).meta({ example: 'alice@example.com' }),
});
export type Profile = z.infer<typeof profile>;

/** As many as the column holds; far beyond what anybody can buy. */
export const MAX_POINTS = 2_147_483_647;

/** One point per 100 minor units, whatever the currency; what is left over is lost. */
export const pointsFor = (totalMinor: number): number => Math.floor(totalMinor / 100);

/** The tier that so many points are worth. */
export function tierFor(points: number): Tier {
  if (points >= 5_000) return 'gold';
  return points >= 1_000 ? 'silver' : 'standard';
}

/** The membership after an order of `totalMinor`. */
export function award({ points: before }: Membership, totalMinor: number): Membership {
  const points = Math.min(before + pointsFor(totalMinor), MAX_POINTS);
  return { points, tier: tierFor(points) };
}

/** The profile after a change, or `undefined` if it stays as it is. */
export function changedProfile({ name, email }: Profile, change: Partial<Profile>): Profile | undefined {
  const changed = { name: change.name ?? name, email: change.email ?? email };
  return changed.name === name && changed.email === email ? undefined : changed;
}
