// How users are read: what others see of them, and the row that a command or reaction is about to change.
import { tier } from '@app/contracts';
import type { Transaction } from '@app/database';
import { NotFoundProblem } from '@app/service';
import { z } from 'zod';
import type { UserRow, UsersTables } from './tables.js';

export const userView = z
  .object({
    id: z.uuid(),
    name: z.string(),
    email: z.email(),
    status: z.enum(['active', 'deactivated']),
    membership: z.object({ points: z.int().min(0), tier }),
    version: z.int().min(1).meta({ description: 'Counts the changes; also the `ETag`.' }),
    registeredAt: z.iso.datetime(),
  })
  .meta({ id: 'User' });

/** A user as others see them. */
export type UserView = z.infer<typeof userView>;

export const viewOf = ({ id, name, email, status, points, tier, version, registered_at }: UserRow): UserView => ({
  id,
  name,
  email,
  status,
  membership: { points, tier },
  version,
  registeredAt: registered_at.toISOString(),
});

/** The user's row, which nobody else changes until the end of `tx`. Rows that refer to it may still be added. */
export const lockUser = (tx: Transaction<UsersTables>, id: string): Promise<UserRow | undefined> =>
  tx.selectFrom('users').selectAll().where('id', '=', id).forNoKeyUpdate().executeTakeFirst();

export const noSuchUser = (id: string): NotFoundProblem => new NotFoundProblem(`There is no user ${id}.`);
