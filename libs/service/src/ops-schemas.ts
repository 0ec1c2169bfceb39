import type { operations } from '@app/messaging';
import { z } from 'zod';

const about = z.strictObject({
  reason: z.string().min(1).max(500).optional(),
  dryRun: z.boolean().default(false),
});

/** What every action may say about itself; no body at all is fine, too. */
export const action = about.prefault({});

/** An action that cannot be undone; extend it, and `.refine(...certain)`. */
export const confirmable = about.extend({ confirm: z.literal(true).optional() });

/** Nobody is asked back over HTTP: such an action says `"confirm": true`, or is a dry run. */
export const certain: [
  check: (body: z.infer<typeof confirmable>) => boolean,
  problem: { error: string; path: string[] },
] = [
  ({ confirm, dryRun }) => confirm === true || dryRun,
  { error: 'must be true, for this cannot be undone; try it with "dryRun": true', path: ['confirm'] },
];

/** The action of `caller`. */
export const actionOf = (
  caller: string,
  { reason, dryRun }: { reason?: string | undefined; dryRun: boolean },
): operations.ActionOptions => ({ operator: { who: caller, reason }, dryRun });
