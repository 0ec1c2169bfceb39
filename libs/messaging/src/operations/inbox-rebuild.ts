// Forgets what an inbox has applied, so that the books find every page missing and pull all of history again.
import type { Database } from '@app/database';
import { OperationError, perform, select, type ActionOptions, type Effect } from './operation.js';

// What an inbox knows of the logs. Not which foreign events it had, nor those that are parked: they come only once. Nor its reactions:
// without them it would take its own for new ones, at the next start.
const TABLES = [
  'inbox_streams',
  'inbox_pages',
  'inbox_books',
  'inbox_gaps',
  'inbox_sources',
  'inbox_holds',
  'inbox_attempts',
] as const;

const LOCKED = `
select extract(epoch from now() - since)::float8 as seconds, exists (
  select from messaging.parked_events where inbox = $2 and claimed_at is not null and due_at > now()) as busy
from messaging.pauses where scope = $1 for share`;
/** All processes have noticed a pause by then, and nearly always finished what they had begun. */
const IN_EFFECT_AFTER_S = 5;

const DROP_LOGGED = 'delete from messaging.parked_events where inbox = $1 and sequence is not null';

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
 * @throws {@link OperationError} unless the inbox exists, is paused and has come to rest
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
    const { rows } = await tx.query<{ seconds: number; busy: boolean }>(LOCKED, [`inbox:${inbox}`, inbox]);
    const [pause] = rows;
    if (!pause) {
      throw new OperationError(
        'conflict',
        `Pause it first: pause inbox:${inbox} --reason "rebuild". Once a rehearsal (--dry-run) is accepted, it is at rest: empty the projection's tables, rebuild, resume.`,
      );
    }
    if (pause.busy || pause.seconds < IN_EFFECT_AFTER_S) {
      throw new OperationError(
        'conflict',
        `Something of "${inbox}" may still be under way: wait for some seconds, then empty the projection's tables, and try again.`,
      );
    }
    const deleted: Partial<Record<(typeof TABLES)[number], number>> = {};
    for (const table of TABLES) {
      const { rowCount } = await tx.query(`delete from messaging.${table} where inbox = $1`, [inbox]);
      deleted[table] = rowCount ?? 0;
    }
    const { rowCount } = await tx.query(DROP_LOGGED, [inbox]);
    const parked = rowCount ?? 0;
    const { inbox_streams: streams = 0 } = deleted;
    return { affected: Object.values(deleted).reduce((sum, rows) => sum + rows, parked), streams, parked };
  });
}
