// Forgets what an inbox has applied, so that the books find every page missing and pull all of history again.
import type { Database } from '@app/database';
import { OperationError, perform, select, type ActionOptions, type Effect } from './operation.js';

// Everything an inbox knows, but not which foreign events it had: those come only once.
const TABLES = [
  'inbox_streams',
  'inbox_pages',
  'inbox_books',
  'inbox_gaps',
  'inbox_sources',
  'inbox_holds',
  'inbox_attempts',
  'reactions',
  'parked_events',
] as const;

const LOCKED = `select scope from messaging.pauses where scope = $1 for share`;

export interface Rebuild extends Effect {
  /** Streams whose events will all be applied again. */
  streams: number;
  /** Parked events that were dropped; replay brings them again. */
  parked: number;
}

/** The inboxes of this service. */
export async function inboxes(database: Database): Promise<string[]> {
  const rows = await select<{ inbox: string }>(
    database,
    'select inbox from messaging.reactions union select inbox from messaging.inbox_sources order by 1',
  );
  return rows.map(({ inbox }) => inbox);
}

/**
 * Resets the inbox of a projection: its reactions get every event again, from the beginning. What they have written is not
 * touched – the operator empties the projection's own tables while the inbox is paused.
 *
 * @param service whose main inbox, of the same name, is refused: its reactions do more than keep a projection
 * @throws {@link OperationError} unless the inbox exists and is paused
 */
export async function rebuildInbox(
  database: Database,
  service: string,
  inbox: string,
  options: ActionOptions,
): Promise<Rebuild> {
  const known = await inboxes(database);
  if (!known.includes(inbox)) {
    throw new OperationError('not-found', `There is no inbox "${inbox}" here, only: ${known.join(', ') || 'none yet'}`);
  }
  if (inbox === service) {
    throw new OperationError(
      'conflict',
      `"${inbox}" is the main inbox of ${service}: its reactions would do everything a second time, and tell events about it. ` +
        `Only an inbox of a projection's own (readonly inbox = '…') can be rebuilt.`,
    );
  }
  return perform(database, 'inbox.rebuild', { inbox }, options, async (tx) => {
    const { rowCount: isPaused } = await tx.query(LOCKED, [`inbox:${inbox}`]);
    if (!isPaused) {
      throw new OperationError(
        'conflict',
        `Pause it first, empty the projection's tables, then rebuild and resume: pause inbox:${inbox} --reason "rebuild"`,
      );
    }
    const deleted: Partial<Record<(typeof TABLES)[number], number>> = {};
    for (const table of TABLES) {
      const { rowCount } = await tx.query(`delete from messaging.${table} where inbox = $1`, [inbox]);
      deleted[table] = rowCount ?? 0;
    }
    const { inbox_streams: streams = 0, parked_events: parked = 0 } = deleted;
    return { affected: Object.values(deleted).reduce((sum, rows) => sum + rows, 0), streams, parked };
  });
}
