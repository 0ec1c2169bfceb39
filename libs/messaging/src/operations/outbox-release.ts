import type { Database } from '@app/database';
import { releaseUnpublishable } from '../outbox/unpublishable.js';
import { OperationError, perform, type ActionOptions, type Effect } from './operation.js';

/**
 * Puts events that the broker refused back into the outbox; what it still refuses is set aside again.
 *
 * @param positions of the events; all of them if absent
 * @throws {@link OperationError} if one of them is not set aside
 */
export async function releaseEvents(
  database: Database,
  positions: readonly string[] | undefined,
  options: ActionOptions,
): Promise<Effect> {
  return perform(database, 'outbox.release', { positions: positions ?? 'all' }, options, async (tx) => {
    let all = positions;
    if (!all) {
      const { rows } = await tx.query<{ position: string }>(
        'select position from messaging.unpublishable order by position',
      );
      all = rows.map(({ position }) => position);
    }
    for (const position of all) {
      if (!/^\d{1,18}$/.test(position))
        throw new OperationError('invalid', `"${position}" is not a position: it is a number.`);
      if (await releaseUnpublishable(tx, position)) continue;
      throw new OperationError('not-found', `The event at position ${position} is not set aside (any more).`);
    }
    return { affected: all.length };
  });
}
