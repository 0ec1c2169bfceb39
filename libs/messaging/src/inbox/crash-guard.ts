// Events that were delivered again and again: perhaps one of them kills the process. They are written down, committed, before
// their reactions run. At first they are applied together: mostly it was not them. If the process dies again, each is applied
// alone, with its attempts counted. The culprit ends up parked, its neighbours do not.
import type { Pool } from 'pg';
import type { Applier } from './applier.js';
import type { Failure, Item } from './item.js';

/** Attempts at an event alone that ended neither well nor badly: the process died meanwhile. */
const MAX_CRASHES = 2;

const SUSPECT = `
insert into messaging.inbox_attempts (inbox, event_id, attempts) select $1, id, 0 from unnest($2::text[]) as id
on conflict do nothing`;
const BEGIN_ATTEMPT = `
update messaging.inbox_attempts set attempts = attempts + 1 where inbox = $1 and event_id = $2 returning attempts`;
const FORGET = 'delete from messaging.inbox_attempts where inbox = $1 and event_id = any($2)';

export class CrashGuard {
  constructor(
    private readonly inbox: string,
    private readonly pool: Pool,
    private readonly applier: Applier,
    private readonly limitMs: number,
  ) {}

  /** As `Applier.apply`. One by one takes three commits per event, so it is for those alone that were there at a second death. */
  async apply(items: readonly Item[]): Promise<void> {
    const ids = [...new Set(items.map(({ envelope }) => envelope.id))];
    const { rowCount } = await this.pool.query(SUSPECT, [this.inbox, ids]);
    if (rowCount === ids.length) {
      await this.applier.apply(items, this.limitMs);
      await this.pool.query(FORGET, [this.inbox, ids]);
    } else {
      for (const item of items) await this.#applyAlone(item);
    }
  }

  async #applyAlone(item: Item): Promise<void> {
    const { id } = item.envelope;
    const { rows } = await this.pool.query<{ attempts: number }>(BEGIN_ATTEMPT, [this.inbox, id]);
    // No row: it came twice in these items, and is a duplicate by now.
    const crashes = (rows[0]?.attempts ?? 1) - 1;
    const failures = new Map<Item, Failure>();
    if (crashes >= MAX_CRASHES) {
      const error = `${crashes} processes died while they applied this event`;
      failures.set(item, { state: 'retry', error, counts: true });
    }
    await this.applier.apply([item], this.limitMs, failures);
    await this.pool.query(FORGET, [this.inbox, [id]]);
  }
}
